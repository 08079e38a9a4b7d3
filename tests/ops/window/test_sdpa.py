"""The fused backend against the reference in float64: context, log-sum-exp and every gradient."""

import pytest
import torch

from tests._support import error
from tests.ops.window.cases import (
    FIELDS,
    assert_same,
    check,
    evaluate,
    ids,
    make,
    marks,
    random_globals,
    random_ids,
)

WINDOWS = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 5), (7, 3), (8, 0), (16, 16), (15, 15), (31, 33), (64, 64), (500, 500)]


@pytest.fixture(autouse=True)
def _nan(nan_filled):
    """Every test of this file runs with uninitialised memory full of NaN."""


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_every_length(window):
    for length in [*range(1, 20), 31, 32, 33, 63, 64, 65, 97, 128, 131]:
        check(make(2, length, window, seed=length))


@pytest.mark.parametrize("window", [(0, 0), (2, 5), (16, 16), (31, 33), (200, 0), (500, 500)], ids=str)
def test_padding_documents_globals_and_projections_at_every_length(window):
    for length in [1, 2, 3, 7, 17, 33, 64, 97, 130]:
        for interleaved in (False, True):
            segment_ids = random_ids(3, length, length, interleaved)
            for share in (0.05, 0.5):
                global_mask = random_globals(3, length, length, share)
                check(make(3, length, window, segment_ids=segment_ids, global_mask=global_mask))
                check(make(3, length, window, hidden=6, segment_ids=segment_ids, global_mask=global_mask))


def test_window_longer_than_a_chunk_of_blocks():
    """More tokens than one step of the backward, mixed and uniform blocks in one row, a last block that is not full."""
    length = 1210
    segment_ids = torch.zeros(1, length, dtype=torch.long)
    segment_ids[0, 1120:1123], segment_ids[0, 1123:] = -1, 1
    global_mask = torch.zeros(1, length, dtype=torch.bool)
    global_mask[0, [0, 700, 1150]] = True
    for window in ((40, 40), (100, 0)):
        check(make(1, length, window, segment_ids=segment_ids, global_mask=global_mask, hidden=4))


@pytest.mark.parametrize("window", [(0, 0), (1, 2), (9, 0), (40, 40), (10**6, 10**6)], ids=str)
@pytest.mark.parametrize("dilation", [2, 3, 50, 2**62, [1, 2, 4], [3, 1, 3], [100, 1, 2**62]], ids=str)
def test_dilation(window, dilation):
    for length in (1, 2, 5, 23, 70, 99):
        options = {"heads": 3, "size": 2, "dilation": dilation}
        check(make(2, length, window, **options))
        segment_ids, global_mask = random_ids(2, length, length + 1), random_globals(2, length, length)
        check(make(2, length, window, hidden=5, segment_ids=segment_ids, global_mask=global_mask, **options))


@pytest.mark.parametrize("largest", [2**31, 2**62, 2**63 - 1])
@pytest.mark.parametrize("dilation", [1, 3])
def test_segment_ids_of_any_size(largest, dilation):
    segment_ids = torch.tensor([[largest, largest - 1, 0, -1, -(2**62)]]).repeat_interleave(9, 1).repeat(3, 1)
    check(make(3, 45, (4, 4), segment_ids=segment_ids, dilation=dilation, global_mask=random_globals(3, 45, 0)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_integer_dtypes_of_segment_ids(dtype):
    segment_ids = random_ids(2, 40, 3)
    if dtype == torch.uint8:
        segment_ids = segment_ids + 1
    expected = evaluate(make(2, 40, (3, 3), segment_ids=segment_ids), "reference")
    assert_same(evaluate(make(2, 40, (3, 3), segment_ids=segment_ids.to(dtype))), expected)


def test_global_mask_as_bool_or_integers():
    global_mask = random_globals(2, 40, 3)
    expected = evaluate(make(2, 40, (3, 3), global_mask=global_mask), "reference")
    for dtype in (torch.bool, torch.uint8, torch.int64):
        assert_same(evaluate(make(2, 40, (3, 3), global_mask=global_mask.to(dtype))), expected)


@pytest.mark.parametrize("scale", [0.0, -0.7, 3.0])
def test_scale(scale):
    segment_ids, global_mask = random_ids(2, 50, 5), random_globals(2, 50, 5)
    for window in ((3, 3), (60, 60)):
        check(make(2, 50, window, scale=scale, segment_ids=segment_ids, global_mask=global_mask, hidden=6))


def test_large_scores_keep_float64_accuracy():
    for window in ((3, 3), (100, 100)):
        inputs = make(2, 90, window, score=100.0, hidden=6, global_mask=random_globals(2, 90, 5))
        check(inputs, 1e-10)


@pytest.mark.parametrize("shape", [(0, 50), (0, 3), (2, 0), (0, 0)], ids=str)
def test_empty_batch_and_no_tokens(shape):
    options = {"segment_ids": torch.zeros(shape, dtype=torch.long), "global_mask": torch.zeros(shape, dtype=torch.bool)}
    for dropout_p in (0.0, 0.5):
        found = evaluate(make(*shape, (4, 4), hidden=6, **options), dropout_p=dropout_p)
        assert found[0].shape == (*shape, 2, 4) and found[1].shape == (shape[0], 2, shape[1])
        assert all(not x.any() for x in found)


def strided(x: torch.Tensor, how: str) -> torch.Tensor:
    """The same values, laid out otherwise."""
    if how == "heads first":
        return x.transpose(1, 2).contiguous().transpose(1, 2)
    if how == "tokens first":
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if how == "last axis slow":
        return x.transpose(-1, 1).contiguous().transpose(-1, 1)
    if how == "every other":
        return torch.stack([x, x + 1], -1).flatten(-2)[..., ::2]
    return torch.cat([x - 1, x, x + 1], -1)[..., x.shape[-1] : 2 * x.shape[-1]]  # "a third of qkv"


@pytest.mark.parametrize("how", ["heads first", "tokens first", "last axis slow", "every other", "a third of qkv"])
@pytest.mark.parametrize("batch", [1, 2])
def test_any_layout(how, batch):
    for options in ({}, {"dilation": 2}, {"global_mask": random_globals(batch, 70, 1), "hidden": 6}):
        for window in ((4, 4), (100, 100)):
            inputs = make(batch, 70, window, **options)
            laid = [strided(x, how) for x in inputs.attended]
            assert all(x.equal(y) for x, y in zip(laid, inputs.attended, strict=True))
            projected = [strided(x, how) if x.dim() == 4 else x.mT.contiguous().mT for x in inputs.projected[:1]]
            projected += [torch.stack([x, x], -1)[..., 0] for x in inputs.projected[1:]]
            leaves = [x.requires_grad_() for x in (*laid, *projected)]
            context, lse = inputs.call(leaves[:3], leaves[3:], return_lse=True)
            assert context.is_contiguous()
            grads = torch.autograd.grad(context, leaves, strided(inputs.grad, how))
            assert_same([context, lse, *grads], evaluate(inputs, "reference"))


def test_expanded_inputs_and_gradient():
    inputs = make(2, 70, (4, 4), global_mask=random_globals(1, 70, 1).expand(2, -1))
    row = inputs.attended[0][:1].clone().requires_grad_()
    found = []
    for backend in ("sdpa", "reference"):
        x = row.expand(2, -1, -1, -1)
        context = inputs.call((x, x, x), backend=backend)
        found.append([context, torch.autograd.grad(context.sum(), row)[0]])  # sum: a gradient with strides of 0
    assert error(found[0][0], found[1][0]) < 1e-12 and error(found[0][1], found[1][1]) < 1e-12


def test_gradient_of_one_input_only():
    inputs = make(2, 50, (3, 3), global_mask=random_globals(2, 50, 1))
    expected = evaluate(inputs, "reference")[2:]
    for place, name in enumerate(FIELDS):
        leaves = [x.clone().requires_grad_(i == place) for i, x in enumerate(inputs.attended)]
        (grad,) = torch.autograd.grad(inputs.call(leaves), leaves[place], inputs.grad)
        assert error(grad, expected[place]) < 1e-12, name


def test_no_gradient_through_a_padding_row_or_into_it():
    inputs = make(2, 45, (3, 3), hidden=6, segment_ids=ids("." * 45, "0" * 40 + "." * 5))
    context, lse, *grads = check(inputs)
    assert not context[0].any() and not context[1, 40:].any()
    assert lse[0].eq(-torch.inf).all() and lse[1, :, 40:].eq(-torch.inf).all() and lse[1, :, :40].isfinite().all()
    for grad in grads[:4]:
        assert not grad[0].any() and not grad[1, 40:].any()


def test_global_token_on_padding_is_ignored():
    segment_ids = ids("..000000..")
    with_it = make(1, 10, (2, 2), segment_ids=segment_ids, global_mask=marks("#...#....#"))
    without = make(1, 10, (2, 2), segment_ids=segment_ids, global_mask=marks("....#....."))
    assert_same(evaluate(with_it), evaluate(without), 0.0)
