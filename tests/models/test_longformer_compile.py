"""torch.compile without a graph break, at other lengths and numbers of global tokens than the first."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    QUESTION,
    SEP,
    SEQUENCE,
    TOKEN,
    Batch,
    assert_same,
    at_valid,
    batch,
    build,
    labels,
    predictions,
    scaled_error,
)

# no size of the first batch is that of another axis: equal numbers are taken for one
LENGTHS = ([21, 13, 7], [40, 1], [100, 64, 99, 3, 5], [2, 1])
MARKS = ("ragged", "none", "first", "all")


def small(name: str, **changes: Any) -> Any:
    torch._dynamo.reset()
    counters.clear()
    return build(name, num_hidden_layers=1, attention_window=6, **changes)


def inputs(name: str, rows: Batch) -> dict[str, Any]:
    """With labels; heads with a default global mask use it."""
    given = rows.inputs(name, **labels(name, rows))
    if name in (SEQUENCE, CHOICE, QUESTION):
        del given["global_attention_mask"]
    return given


def check(model: Any, compiled: Any, name: str) -> None:
    for lengths, marks in zip(LENGTHS, MARKS, strict=True):
        rows = batch(lengths, marks, "left")
        if rows.ids.shape[1] > 10:
            rows.ids[0, [4, 9, 10]] = SEP
        given = inputs(name, rows)
        found, expected = compiled(**given), model(**given)
        assert_same(found, expected, rows.valid)
        gradients = []
        for output in (found, expected):
            made = predictions(output).values()
            total = output.loss if name != BASE else sum(at_valid(x, rows.valid).sum() for x in made)
            gradients.append(torch.autograd.grad(total, list(model.parameters())))
        if name != BASE:
            torch.testing.assert_close(found.loss, expected.loss)
        largest = max(float(g.abs().max()) for g in gradients[1])
        for a, b in zip(*gradients, strict=True):
            assert scaled_error(a, b, max(0.1 * largest, 1e-12)) <= 1e-5


@pytest.mark.parametrize("name", CLASSES)
def test_forward_and_backward(name: str) -> None:
    model = small(name)
    check(model, torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True), name)
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("name", [TOKEN, QUESTION])
def test_inductor(name: str) -> None:
    model = small(name)
    check(model, torch.compile(model, fullgraph=True, dynamic=True), name)


@pytest.mark.slow
def test_packed_documents_and_embeddings() -> None:
    model = small(TOKEN, position_period=30)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    with torch.no_grad():
        for rows, length in ((3, 20), (2, 61), (4, 9)):
            given = {
                "inputs_embeds": torch.randn(rows, length, 16, generator=torch.Generator().manual_seed(0)),
                "segment_ids": (torch.arange(length) // 7 - 1).expand(rows, length),
            }
            torch.testing.assert_close(compiled(**given).logits[:, 7:], model(**given).logits[:, 7:])


@pytest.mark.slow
def test_dropout_is_drawn_anew() -> None:
    model = small(TOKEN, attention_probs_dropout_prob=0.3).train()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    given = batch([21, 13], "first").inputs(TOKEN)
    results = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        results.append(compiled(**given).logits)
    assert torch.equal(results[0], results[2]) and not torch.allclose(results[0], results[1])


def test_fault_26_no_graph_break() -> None:
    """Elsewhere: 18 graph breaks for two layers."""
    model = small(QUESTION)
    found = torch._dynamo.explain(model)(**inputs(QUESTION, batch([21, 13], "first")))
    assert found.graph_break_count == 0 and found.graph_count == 1
