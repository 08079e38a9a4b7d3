"""Attention with its log-sum-exp: the two functions that every fused path is built from."""

import math

import pytest
import torch
from torch import Tensor

from longspan.ops import fused
from longspan.ops.fused import attend, attend_backward
from tests._support import Watch, assert_close, error


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def states(queries: int = 7, keys: int = 11, batch: int = 2, heads: int = 3, size: int = 5) -> list[Tensor]:
    return [draw(batch, heads, n, size, seed=i) for i, n in enumerate((queries, keys, keys))]


def plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    scores = query @ key.mT * scale + (0 if mask is None else mask)
    return scores.softmax(-1) @ value, scores.logsumexp(-1)


def hide(batch: int, queries: int, keys: int) -> Tensor:
    """A random additive mask under which every query sees its first key."""
    hidden = draw(batch, 1, queries, keys, seed=9) > 0.3
    hidden[..., 0] = False
    return torch.zeros(batch, 1, queries, keys, dtype=torch.float64).masked_fill(hidden, -math.inf)


@pytest.fixture(params=[True, False], ids=["kernel", "explicit"])
def _form(request, monkeypatch):
    """The CPU kernel, and the explicit form that other devices get."""
    if not request.param:
        monkeypatch.setattr(fused, "_has_kernel", lambda query: False)


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", [(7, 11), (1, 1), (1, 40), (70, 1), (65, 129)], ids=str)
def test_forward_and_backward(masked, sizes):
    query, key, value = (x.requires_grad_() for x in states(*sizes))
    mask = hide(2, *sizes) if masked else None
    context, lse = attend(query.detach(), key.detach(), value.detach(), mask, 0.4)
    expected, expected_lse = plain(query, key, value, mask, 0.4)
    assert_close([context, lse], [expected, expected_lse], 1e-12)
    grad = draw(*context.shape, seed=5)
    found = attend_backward(grad, query.detach(), key.detach(), value.detach(), context, lse, mask, 0.4)
    assert_close(found, torch.autograd.grad(expected, (query, key, value), grad), 1e-12)


@pytest.mark.usefixtures("_form")
def test_parts_of_one_softmax():
    """Parts merge by their log-sum-exp, and the merged ones give each part its gradient."""
    query, key, value = (x.requires_grad_() for x in states())
    expected, lse = plain(query, key, value, None, 1.0)
    grad = draw(*expected.shape, seed=5)
    detached = [x.detach() for x in (query, key, value)]
    parts = [slice(0, 4), slice(4, 11)]
    found = [attend(detached[0], *(x[:, :, part] for x in detached[1:])) for part in parts]
    weights = torch.stack([part_lse for _, part_lse in found]).softmax(0).unsqueeze(-1)
    assert error(sum(w * out for w, (out, _) in zip(weights, found, strict=True)), expected) < 1e-12

    grads = [
        attend_backward(grad, detached[0], *(x[:, :, part] for x in detached[1:]), expected.detach(), lse.detach())
        for part in parts
    ]
    merged = [grads[0][0] + grads[1][0], *(torch.cat([grads[0][i], grads[1][i]], 2) for i in (1, 2))]
    assert_close(merged, torch.autograd.grad(expected, (query, key, value), grad), 1e-12)


@pytest.mark.usefixtures("_form")
def test_row_that_sees_nothing():
    query, key, value = states()
    mask = hide(2, 7, 11)
    mask[:, :, 3] = -math.inf
    context, lse = attend(query, key, value, mask)
    assert not context[:, :, 3].any() and not lse[:, :, 3].any()
    grads = attend_backward(draw(*context.shape), query, key, value, context, lse, mask)
    assert all(x.isfinite().all() for x in grads) and not grads[0][:, :, 3].any()


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("masked", [False, True])
def test_infinite_log_sum_exp_takes_a_row_out_of_the_backward(masked):
    query, key, value = states()
    mask = hide(2, 7, 11) if masked else None
    context, lse = attend(query, key, value, mask)
    grad = draw(*context.shape, seed=5)
    out = torch.tensor([1, 3, 6])
    found = attend_backward(grad, query, key, value, context, lse.index_fill(2, out, math.inf), mask)
    expected = attend_backward(grad.index_fill(2, out, 0.0), query, key, value, context, lse, mask)
    assert not found[0][:, :, out].any()
    assert_close(found, [expected[0].index_fill(2, out, 0.0), *expected[1:]], 1e-12)


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("shape", [(2, 0, 5), (2, 5, 0), (0, 5, 5), (2, 0, 0)], ids=str)
def test_nothing_to_attend(shape):
    batch, queries, keys = shape
    query, key, value = states(queries, keys, batch)
    context, lse = attend(query, key, value)
    assert context.shape == query.shape and not context.any()
    assert lse.shape == query.shape[:3] and lse.eq(-math.inf).all()
    grads = attend_backward(context, query, key, value, context, lse)
    assert [x.shape for x in grads] == [x.shape for x in (query, key, value)] and not any(x.any() for x in grads)


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_dtypes(dtype):
    query, key, value = (x.to(dtype) for x in states())
    mask = hide(2, 7, 11)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    context, lse = attend(query, key, value, mask.to(wide), 0.4)
    assert context.dtype == dtype and lse.dtype == wide
    exact = plain(*(x.double() for x in (query, key, value)), mask, 0.4)
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-6}.get(dtype, 1e-12)
    assert_close([context, lse], exact, tolerance)
    grads = attend_backward(context, query, key, value, context, lse, mask.to(wide), 0.4)
    assert all(x.dtype == dtype and x.isfinite().all() for x in grads)


@pytest.mark.usefixtures("_form")
def test_any_strides():
    """The kernel reads garbage where the last axis is not dense."""
    laid = [x.mT.contiguous().mT for x in states()]
    grad = draw(2, 3, 7, 5, seed=5).mT.contiguous().mT
    dense = [x.contiguous() for x in laid]
    assert laid[0].stride(-1) != 1
    context, lse = attend(*laid)
    expected = attend(*dense)
    assert_close([context, lse], expected, 1e-13)
    odd = expected[0].mT.contiguous().mT
    assert_close(attend_backward(grad, *laid, odd, lse), attend_backward(grad.contiguous(), *dense, *expected), 1e-13)


def test_overlapping_windows_are_not_copied():
    x = draw(1, 1000, 2, 8)[0]
    windows = x.unfold(0, 100, 20).permute(0, 1, 3, 2)
    query = draw(len(windows), 2, 20, 8)
    with Watch() as found:
        context, _ = attend(query, windows, windows)
    assert found.calls["_scaled_dot_product_flash_attention_for_cpu"] == 1 and found.elements <= query.numel()
    assert error(context, attend(query, windows.contiguous(), windows.contiguous())[0]) < 1e-13


def test_scores_of_hundreds_and_a_head_of_768():
    query, key, value = (x * 10 for x in states(9, 70, 1, 1, 768))
    assert_close(attend(query, key, value, None, 0.1), plain(query, key, value, None, 0.1), 1e-11)
