"""Inputs and comparisons that the tests of Nyström attention share."""

from __future__ import annotations

import torch
from torch import Tensor

from longspan.ops.nystrom import nystrom_attention

NAMES = ("context", "query", "key", "value", "conv_weight")


def make_inputs(batch=2, length=37, heads=2, size=4, kernel=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    query, key, value, grad = (
        torch.randn(batch, length, heads, size, generator=generator, dtype=torch.float64) for _ in range(4)
    )
    weight = None if kernel is None else torch.randn(heads, kernel, generator=generator, dtype=torch.float64).to(dtype)
    return [x.to(dtype) for x in (query, key, value)], weight, grad.to(dtype)


def evaluate(inputs, weight, grad, num_landmarks=8, **options) -> list[Tensor]:
    """Context and the gradients of query, key, value and conv_weight."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    if weight is not None:
        weight = weight.detach().clone().requires_grad_()
    context = nystrom_attention(*leaves, num_landmarks, conv_weight=weight, **options)
    return [context, *torch.autograd.grad(context, leaves if weight is None else [*leaves, weight], grad)]


def assert_equal(actual: list[Tensor], expected: list[Tensor], tolerance: float = 1e-12) -> None:
    """Each within ``tolerance`` of the largest value expected."""
    assert len(actual) == len(expected)
    for name, a, e in zip(NAMES, actual, expected, strict=False):
        assert a.shape == e.shape and a.dtype == e.dtype, name
        a, e = a.detach(), e.detach()
        error = float((a.double() - e.double()).abs().max()) if a.numel() else 0.0
        bound = tolerance * max(1.0, float(e.double().abs().max()) if e.numel() else 0.0)
        assert error <= bound, f"{name}: {error:.2e} > {bound:.2e}"  # NaN fails as well


def segments(*rows: str) -> Tensor:
    """Segment ids written as text: a digit is an id, a dot is padding."""
    return torch.tensor([[-1 if c == "." else int(c) for c in row] for row in rows])
