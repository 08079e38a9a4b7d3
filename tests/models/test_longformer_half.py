"""float16 and bfloat16 modules: finite with any mask and with scores x 100, and as right as the dtype allows."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests._support import assert_within_budget
from tests.models.longformer_cases import BASE, CLASSES, TOKEN, at_valid, batch, build, labels, predictions

DTYPES = (torch.float16, torch.bfloat16)


def sharp(name: str, implementation: str = "sdpa", factor: float = 100) -> Any:
    """A model whose scores are ``factor`` times what its weights say."""
    model = build(name, attn_implementation=implementation)
    with torch.no_grad():
        for key, x in model.named_parameters():
            if ".query" in key:
                x.mul_(factor)
    return model


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("marks", ["none", "ragged"])
def test_finite_with_scores_x_100(name: str, dtype: torch.dtype, marks: str) -> None:
    """Forward and every gradient, with an all-padding row."""
    model = sharp(name).to(dtype)
    rows = batch([70, 33, 5], marks)
    rows.mask[2] = 0
    output = model(**rows.inputs(name, **labels(name, rows)), output_hidden_states=True, output_attentions=True)
    total = output.loss if name != BASE else output.last_hidden_state.float().sum() + output.pooler_output.float().sum()
    total.backward()
    for key, x in predictions(output).items():
        assert x.isfinite().all() and x.dtype == dtype, key
    for x in (*output.hidden_states, *output.attentions, *(output.global_attentions or ())):
        assert x.isfinite().all() and x.dtype == dtype
    assert total.isfinite()
    for key, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1, 100])
def test_error_is_that_of_the_dtype(dtype: torch.dtype, factor: float) -> None:
    """Against float64, the fused backend errs no more than the dense one in the same dtype."""
    rows = batch([90, 41], "ragged", seed=1)
    rows.marks[:, 0] = 1
    half = sharp(BASE, "sdpa", factor).to(dtype)
    plain = sharp(BASE, "eager", factor).to(dtype)
    exact = copy.deepcopy(plain).double()
    found, expected, truth = (
        [at_valid(x, rows.valid) for x in predictions(model(**rows.inputs(BASE))).values()]
        for model in (half, plain, exact)
    )
    assert_within_budget(found, expected, truth, 1.5, names=["last_hidden_state", "pooler_output"])


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.float32, *DTYPES])
def test_row_of_padding(implementation: str, dtype: torch.dtype) -> None:
    """Its attention is exactly 0, it is finite, and it changes nothing in other rows."""
    model = build(BASE, attn_implementation=implementation).to(dtype)
    rows = batch([25, 14, 9], "first")
    expected = model(**rows.inputs(BASE)).last_hidden_state
    rows.mask[1] = 0
    contexts: list[Tensor] = []
    model.encoder.layer[0].attention.self.register_forward_hook(lambda *args: contexts.append(args[2][0]))
    output = model(**rows.inputs(BASE))
    assert not contexts[0][~rows.valid].any() and contexts[0][rows.valid].any(-1).all()
    assert output.last_hidden_state.isfinite().all() and output.pooler_output.isfinite().all()
    tolerance = 1e-6 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(output[0][rows.valid], expected[rows.valid], atol=tolerance, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    model = build(TOKEN)
    rows = batch([50, 21], "ragged")
    given = rows.inputs(TOKEN, **labels(TOKEN, rows))
    with torch.autocast("cpu", dtype):
        output = model(**given)
    output.loss.backward()
    exact = model(**given)
    assert output.loss.dtype == torch.float32
    torch.testing.assert_close(output.logits[rows.valid].float(), exact.logits[rows.valid], atol=0.05, rtol=0.05)
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())
