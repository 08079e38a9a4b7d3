"""torch.export with dynamic batch and length: right at other lengths and numbers of global tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    QUESTION,
    SEP,
    SEQUENCE,
    TOKEN,
    Batch,
    at_valid,
    batch,
    build,
    predictions,
    scaled_error,
    words,
)

# no size of the traced shape is that of another axis: equal numbers are taken for one
TRACED = [21, 13, 7]
LENGTHS = ([17, 17], [40, 1, 22], [1], [100, 64, 99, 3], [130], [2, 1])
MARKS = ("none", "first", "ragged", "all")


def small(name: str, **changes: Any) -> Any:
    """One layer: tracing takes its time."""
    return build(name, num_hidden_layers=1, attention_window=6, **changes)


class Wrapped(torch.nn.Module):
    """A model with its predictions as a tuple, called by position."""

    def __init__(self, model: torch.nn.Module, names: tuple[str, ...], **extra: Any) -> None:
        super().__init__()
        self.model, self.names, self.extra = model, names, extra

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        output = self.model(**dict(zip(self.names, given, strict=True)), **self.extra)
        return tuple(predictions(output).values())


def export(model: Any, given: dict[str, Tensor], strict: bool = False, **extra: Any) -> tuple[Any, Any]:
    """The exported program as a module, and what it was made of."""
    wrapped = Wrapped(model, tuple(given), **extra)
    rows, length = torch.export.Dim("rows"), torch.export.Dim("length")
    first = next(iter(given.values()))
    axes: dict[int, Any] = {0: rows, 1: length} if first.shape[0] > 1 else {1: rows, 2: length}
    with torch.no_grad():
        program = torch.export.export(
            wrapped, tuple(given.values()), dynamic_shapes=((axes,) * len(given),), strict=strict
        )
    return program.module(), wrapped


def check(program: Any, wrapped: Any, given: dict[str, Tensor], rows: Batch) -> None:
    with torch.no_grad():
        found, expected = program(*given.values()), wrapped(*given.values())
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        assert scaled_error(at_valid(a, rows.valid), at_valid(b, rows.valid)) <= 1e-5


@pytest.mark.parametrize("strict", [False, True])
def test_fault_27_28_a_program_is_right_at_other_shapes(strict: bool) -> None:
    """Elsewhere: the length and the number of global tokens of the trace are baked in, or it runs on CUDA only."""
    model = small(BASE) if strict else build(BASE)
    program, wrapped = export(model, batch(TRACED, "ragged").inputs(BASE), strict)
    for lengths in LENGTHS:
        for marks in MARKS:
            rows = batch(lengths, marks, "left")
            check(program, wrapped, rows.inputs(BASE), rows)


def with_questions(lengths: list[int], seed: int = 0) -> Batch:
    """Rows with 0 to 3 separators."""
    rows = batch(lengths, seed=seed)
    for row, length in enumerate(lengths):
        rows.ids[row, [x for x in (3 + row, 4 + row, 9)[: row + 1] if x < length]] = SEP
    return rows


@pytest.mark.parametrize("name", CLASSES[1:])
def test_heads_with_their_default_masks(name: str) -> None:
    model = small(name)

    def inputs(rows: Batch) -> dict[str, Tensor]:
        given = rows.inputs(name)
        del given["global_attention_mask"]
        return given

    program, wrapped = export(model, inputs(with_questions(TRACED)))
    for lengths in LENGTHS:
        rows = with_questions(lengths, seed=1)
        check(program, wrapped, inputs(rows), rows)


def test_a_2_in_the_mask_keeps_its_meaning() -> None:
    """Whether the default mask is added is decided in the graph."""
    model = small(SEQUENCE)
    program, wrapped = export(model, {"input_ids": batch(TRACED).ids, "attention_mask": batch(TRACED).mask})
    results = []
    for marks in ([], [7, 20], range(33)):
        rows = batch([33, 17], seed=3)
        rows.marks[:, list(marks)] = 1
        given = {"input_ids": rows.ids, "attention_mask": rows.mask + rows.marks * rows.mask}
        check(program, wrapped, given, rows)
        results.append(program(*given.values())[0])
    assert not torch.allclose(results[0], results[1]) and not torch.allclose(results[1], results[2])


@pytest.mark.parametrize("name", [BASE, SEQUENCE, CHOICE, QUESTION])
def test_embeddings(name: str) -> None:
    model = small(name)
    words_of = model.get_input_embeddings()

    def inputs(rows: Batch) -> dict[str, Tensor]:
        given = rows.inputs(name)
        return {"inputs_embeds": words_of(given.pop("input_ids")).detach(), **given}

    program, wrapped = export(model, inputs(batch(TRACED, "ragged")))
    for lengths, marks in zip(LENGTHS, ("all", "none", "first", "ragged", "first", "all"), strict=True):
        rows = batch(lengths, marks)
        check(program, wrapped, inputs(rows), rows)


def test_packed_documents() -> None:
    model = small(TOKEN, position_period=50)

    def inputs(rows: int, length: int) -> dict[str, Tensor]:
        segments = (torch.arange(length) // 7 - 1).expand(rows, length).contiguous()
        return {"input_ids": words(rows, length), "segment_ids": segments}

    program, wrapped = export(model, inputs(3, 20))
    for rows, length in ((2, 40), (1, 9), (5, 15)):
        given = inputs(rows, length)
        check(program, wrapped, given, Batch(given["input_ids"], given["segment_ids"] >= 0, given["input_ids"]))


def test_saved_and_loaded(tmp_path: Any) -> None:
    """The program of a file runs where longspan's operator is registered."""
    rows = batch(TRACED, "ragged")
    model = Wrapped(small(BASE), tuple(rows.inputs(BASE)))
    rows_axis, length = torch.export.Dim("rows"), torch.export.Dim("length")
    with torch.no_grad():
        exported = torch.export.export(
            model, tuple(rows.inputs(BASE).values()), dynamic_shapes=(({0: rows_axis, 1: length},) * 3,)
        )
    torch.export.save(exported, tmp_path / "model.pt2")
    again = torch.export.load(tmp_path / "model.pt2").module()
    for lengths in LENGTHS[:3]:
        other = batch(lengths, "first")
        check(again, model, other.inputs(BASE), other)
