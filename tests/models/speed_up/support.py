"""Runs a model of transformers as it is and with longspan's attention, and compares."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

import longspan
from tests.models.longformer_cases import scaled_error

TOLERANCE = 1e-5


def sped_up_copy(model: Any) -> Any:
    return longspan.speed_up(copy.deepcopy(model))


def assert_same_outputs(actual: Any, expected: Any, valid: Tensor) -> None:
    """Equal names and, at valid tokens, values: predictions, losses, hidden states of all layers."""
    assert list(actual.keys()) == list(expected.keys())
    for name, wanted in expected.items():
        if "attentions" in name or "past" in name:
            continue
        found = actual[name]
        pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
        for a, e in pairs:
            whole = a.shape[:2] == valid.shape
            difference = scaled_error(a[valid] if whole else a, e[valid] if whole else e, least=1.0)
            assert difference <= TOLERANCE, f"{name}: {difference:.2e}"


def assert_same_gradients(actual: Any, expected: Any) -> None:
    """Each parameter's gradient, scaled by its largest and at least by a tenth of the largest of all.

    Gradients of key biases are 0 but for rounding, so they have no scale of their own.
    """
    wanted = {name: p.grad for name, p in expected.named_parameters()}
    # one choice, or an answer in one token, is certain: all gradients are 0
    least = max(1e-6, *(0.1 * float(g.abs().max()) for g in wanted.values() if g is not None))
    for name, parameter in actual.named_parameters():
        assert (parameter.grad is None) == (wanted[name] is None), name
        if parameter.grad is not None:
            difference = scaled_error(parameter.grad, wanted[name], least)
            assert difference <= 2e-5, f"{name}: {difference:.2e}"


def backward(outputs: Any, name: str = "last_hidden_state") -> None:
    """From the loss where there is one, else from a random gradient of that output."""
    if "loss" in outputs:
        outputs.loss.backward()
        return
    x = outputs[name]
    x.backward(torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float32))
