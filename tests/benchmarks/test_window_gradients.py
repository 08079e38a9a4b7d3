"""Sampled gradients agree with autograd through the dense mask."""

import pytest
import torch

from benchmarks.sizes import TINY
from benchmarks.window_gradients import row_gradients, sampled_gradients
from benchmarks.window_operations import DENSE, inputs, prepare

ROWS = [1, 9, 70, 149]


@pytest.mark.parametrize("has_global", [True, False])
@pytest.mark.parametrize("window", [8, 64, 400])
def test_sampled_gradients_are_those_of_the_dense_mask(has_global, window):
    x = inputs(TINY, 150, window, has_global, grad=True)
    incoming = torch.randn(x.query.shape, generator=torch.Generator().manual_seed(1))
    expected = torch.autograd.grad(prepare(DENSE, x)(), x.leaves(), incoming)
    found = sampled_gradients(x, incoming, ROWS)
    assert len(found) == len(expected)
    for number, (gradient, whole) in enumerate(zip(found, expected, strict=True)):
        rows = [0] if number == 3 else ROWS
        torch.testing.assert_close(gradient, whole[0, rows].double(), atol=1e-6, rtol=1e-4)


def test_gradients_of_one_query_are_those_of_autograd():
    query, key, value, incoming = (torch.randn(n, 2, 4, dtype=torch.float64) for n in (1, 20, 20, 1))
    leaves = [state.requires_grad_() for state in (query, key, value)]
    weights = (torch.einsum("ihd,jhd->hij", query, key) / 2).softmax(-1)
    expected = torch.autograd.grad(torch.einsum("hij,jhd->ihd", weights, value), leaves, incoming)
    found = row_gradients(query[0], key, value, incoming[0], [3, 19])
    for gradient, whole in zip(found, (expected[0], expected[1][[3, 19]], expected[2][[3, 19]]), strict=True):
        torch.testing.assert_close(gradient, whole)
