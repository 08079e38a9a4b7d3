"""A document's result depends on nothing outside it: padding, other rows, neighbours in a packed row."""

from itertools import pairwise

import pytest
import torch

from tests._support import error
from tests.ops.window.cases import FIELDS, Inputs, assert_same, evaluate, ids, make, random_globals, random_ids

WINDOWS = [(3, 3), (5, 0), (80, 80)]
OPTIONS = [{}, {"hidden": 6}, {"hidden": 6, "dilation": [1, 3]}]
PER_TOKEN = 6  # context, log-sum-exp, gradients of query, key, value and hidden states


def per_token(inputs: Inputs, **options) -> dict[str, torch.Tensor]:
    found = evaluate(inputs, **options)
    found[1] = found[1].transpose(1, 2).exp()  # (B, N, H), 0 at padding
    names = ("context", "lse", *FIELDS, "hidden_states")
    return dict(zip(names, found, strict=False))  # without those of the weights


def pad(inputs: Inputs, before: int, after: int) -> Inputs:
    """The same row with random padding tokens at its ends."""
    length = inputs.grad.shape[1]

    def wrap(x: torch.Tensor) -> torch.Tensor:
        wide = torch.randn(x.shape[0], before + length + after, *x.shape[2:], dtype=x.dtype) * 30
        wide[:, before : before + length] = x
        return wide

    segment_ids = torch.full((1, before + length + after), -1)
    segment_ids[:, before : before + length] = inputs.options.get("segment_ids", 0)
    marks = torch.ones(1, before + length + after, dtype=torch.bool)
    marks[:, before : before + length] = inputs.options["global_mask"]
    projected = (wrap(inputs.projected[0]), *inputs.projected[1:]) if inputs.projected else ()
    options = {**inputs.options, "segment_ids": segment_ids, "global_mask": marks}
    return Inputs(tuple(wrap(x) for x in inputs.attended), projected, wrap(inputs.grad), options)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_row_of_a_batch_equals_the_row_alone(window, options, dtype):
    options = {"segment_ids": random_ids(3, 60, 4), "global_mask": random_globals(3, 60, 2), **options}
    inputs = make(3, 60, window, **options).to(dtype)
    together = per_token(inputs)
    for b in range(3):
        for name, x in per_token(inputs.row(b)).items():
            assert error(together[name][b : b + 1], x) < (1e-12 if dtype == torch.float64 else 2e-6), name


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("ends", [(0, 1), (1, 0), (0, 70), (64, 0), (13, 29)], ids=str)
def test_padding_changes_nothing(window, options, ends):
    inputs = make(1, 45, window, global_mask=random_globals(1, 45, 2), **options)
    alone, padded = evaluate(inputs), evaluate(pad(inputs, *ends))
    here = slice(ends[0], ends[0] + 45)
    for place, (a, p) in enumerate(zip(alone, padded, strict=True)):
        if place == 1:
            p = p[..., here]
        elif place < PER_TOKEN:
            if place:
                assert not p[:, : ends[0]].any() and not p[:, ends[0] + 45 :].any()
            p = p[:, here]
        assert error(p, a) < 1e-12


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_packed_documents_equal_each_alone(window, options):
    ends = [0, 1, 18, 50, 52, 83]
    segment_ids = torch.repeat_interleave(torch.tensor([7, 3, 0, 2**40, 1]), torch.tensor(ends).diff())[None]
    inputs = make(1, 83, window, segment_ids=segment_ids, global_mask=random_globals(1, 83, 2), **options)
    together = per_token(inputs)
    for start, stop in pairwise(ends):
        for name, x in per_token(inputs.row(0, start, stop)).items():
            assert error(together[name][:, start:stop], x) < 1e-12, name


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("backend", ["sdpa", "reference"])
def test_changing_tokens_of_other_documents_changes_no_bit(window, backend):
    """Interleaved documents with holes: everything but document 1 is replaced, its shape stays."""
    segment_ids = random_ids(2, 70, 3, interleaved=True)
    inputs = make(2, 70, window, hidden=6, segment_ids=segment_ids, global_mask=random_globals(2, 70, 2))
    mine = segment_ids == 1
    other = make(2, 70, window, hidden=6, seed=9)

    def mix(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.where(mine.view(2, 70, *[1] * (x.dim() - 2)), x, y)

    changed = Inputs(
        tuple(mix(x, y) for x, y in zip(inputs.attended, other.attended, strict=True)),
        (mix(inputs.projected[0], other.projected[0]), *inputs.projected[1:]),
        mix(inputs.grad, other.grad),
        inputs.options,
    )
    before, after = per_token(inputs, backend=backend), per_token(changed, backend=backend)
    for name, x in before.items():
        assert after[name][mine].equal(x[mine]), name
        assert not after[name][segment_ids == 0].equal(x[segment_ids == 0]), name


def test_a_masked_token_inside_a_document_keeps_its_place():
    """The window counts positions, so a hole moves nothing closer."""
    inputs = make(1, 9, (1, 1), segment_ids=ids("0000.0000"))
    whole = inputs.call(segment_ids=ids("000011111"))
    assert error(inputs.call()[:, :4], whole[:, :4]) < 1e-12
    assert error(inputs.call()[:, 6:], whole[:, 6:]) < 1e-12
    left = evaluate(inputs.row(0, 0, 4), segment_ids=None)
    assert_same(left[:1], [inputs.call()[:, :4]])


def test_causal_window_does_not_see_the_future():
    inputs = make(1, 70, (9, 0))
    value = inputs.attended[2].clone().requires_grad_()
    for window in ((9, 0), (200, 0)):
        context = inputs.call((*inputs.attended[:2], value), window_size=window)
        grad = torch.autograd.grad(context[:, :40].sum(), value)[0]
        assert grad[:, :40].abs().sum((-1, -2)).gt(0).all() and not grad[:, 40:].any()
