"""Default global masks of the heads, as masks."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from longspan.models.longformer import task
from longspan.models.longformer.global_mask import default_mask, default_unless_merged, merge_global
from longspan.models.segments import merge_padding
from tests.models.longformer_cases import CHOICE, PAD, QUESTION, SEP, SEQUENCE, TOKEN, batch, build, words

IDS = {"s": 0, "q": 10, "/": SEP, "a": 20, ".": PAD, "x": 30, "|": SEP}
HIDDEN = ".x|"  # masked: padding, a word, a separator


def default(kind: Any, rows: list[str], segments: list[str] | None = None) -> list[str]:
    """The default mask of rows written as text: ``s`` <s>, ``/`` </s>, q and a words; ``.x|`` are masked."""
    ids = torch.tensor([[IDS[c] for c in row] for row in rows])
    mask = torch.tensor([[int(c not in HIDDEN) for c in row] for row in rows])
    given = None if segments is None else torch.tensor([[int(c) for c in row] for row in segments])
    found = default_mask(kind, merge_padding(given, mask), ids, SEP, (len(rows), len(rows[0])), ids.device)
    assert found.dtype == torch.bool
    return ["".join("G" if g else "-" for g in row) for row in found.tolist()]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("sqq//aa/", "GGG-----"),
        ("sqq/aaa/", "GGG-----"),
        ("sqqaaaa/", "GGGGGGG-"),
        ("sqq/aaaa", "GGG-----"),
        ("sqqaaaaa", "G-------"),
        ("/qqaaaaa", "--------"),
        ("s/a/a//a", "G-------"),
        ("..sqq//a", "--GGG---"),
        ("sqq//a..", "GGG-----"),
        ("sxq//a/.", "G-G-----"),
        ("s|q//a/.", "G-G-----"),
        ("........", "--------"),
        ("..sqaaa.", "--G-----"),
        ("|.sqaa|.", "--G-----"),
    ],
)
def test_question(row: str, expected: str) -> None:
    assert default("question", [row, "sqqq/aa/"]) == [expected, "GGGG----"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("sqq//aa/", "-----GGG"),
        ("sqq/aaa/", "-----GGG"),
        ("sqqaaaa/", "--------"),
        ("sqqaaaaa", "G-------"),
        ("..sqaaaa", "--G-----"),
        ("..sqq//a", "-------G"),
        ("sqq//a/.", "-----GG-"),
        ("sqq/xaa/", "-----GGG"),
        ("sxq//ax/", "-----G-G"),
        ("s|q//aa/", "-----GGG"),
        ("........", "--------"),
    ],
)
def test_choice(row: str, expected: str) -> None:
    assert default("choice", [row, "sqqq//a/"]) == [expected, "------GG"]


def test_first() -> None:
    assert default("first", ["sqaa", "..sq", "x.sq", "....", "sq.."]) == ["G---", "--G-", "--G-", "----", "G---"]


def test_each_segment_has_its_own_question() -> None:
    rows = ["sq/as/asqsqq/a", "sq/a..sqqsq/a.", "ss//qq///aa/aa"]
    segments = ["00001114433333", "00001122244444", "01010101010101"]
    assert default("question", rows, segments) == [
        "GG--G--G-GGG--",
        "GG----G--GG---",
        "GG------------",
    ]


def test_without_a_separator_token_the_first_token_is_global() -> None:
    ids = words(2, 5)
    for kind in ("question", "choice"):
        assert default_mask(kind, None, ids, None, (2, 5), ids.device).sum(1).tolist() == [1, 1]


def test_a_2_makes_the_mask_a_whole_global_mask() -> None:
    ids = torch.tensor([[0, 10, SEP, SEP, 20, SEP], [0, SEP, SEP, 10, 20, SEP]])
    for mask, expected in (
        (None, [2, 1]),
        (torch.ones(2, 6, dtype=torch.bool), [2, 1]),
        (torch.ones(2, 6), [2, 1]),
        (torch.tensor([[1, 1, 1, 1, 1, 2], [1, 1, 1, 1, 1, 1]]), [0, 0]),
    ):
        given = default_unless_merged("question", mask, merge_padding(None, mask), ids, SEP, (2, 6), ids.device)
        assert given.sum(1).tolist() == expected


def test_union_of_both_forms() -> None:
    mask, marks = torch.tensor([[0, 1, 2, 2]]), torch.tensor([[0, 1, 0, 1]])
    assert merge_global(None, None) is None
    assert merge_global(mask.bool(), None) is None
    for given, expected in (
        (merge_global(mask, None), [0, 0, 1, 1]),
        (merge_global(None, marks), [0, 1, 0, 1]),
        (merge_global(mask, marks), [0, 1, 1, 1]),
        (merge_global(mask.float(), marks.bool()), [0, 1, 1, 1]),
    ):
        assert given is not None and given.dtype == torch.bool and given.long().tolist() == [expected]


def marks_of(output: Any) -> Tensor:
    """How many global tokens each row had: those whose row of weights is not 0."""
    maps = output.global_attentions
    return torch.zeros(1) if maps is None else (maps[0].sum((1, 2)) > 0).sum(1)


@pytest.mark.parametrize(
    ("name", "expected"), [(SEQUENCE, [1, 1]), (QUESTION, [5, 8]), (CHOICE, [12, 5]), (TOKEN, [0])]
)
def test_defaults_of_the_heads(name: str, expected: list[int]) -> None:
    rows = batch([19, 15])
    for row, question in enumerate((5, 8)):
        rows.ids[row, [question, question + 1]] = SEP
    given = rows.inputs(name, output_attentions=True)
    given["global_attention_mask"] = None
    assert marks_of(build(name)(**given)).tolist() == expected


@pytest.mark.parametrize("name", [QUESTION, CHOICE])
def test_embeddings_hold_no_separator_and_it_is_said_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    task._noted.clear()
    model, rows = build(name), batch([9])
    embeds = model.get_input_embeddings()(rows.inputs(name)["input_ids"])
    with caplog.at_level(logging.WARNING, "longspan"):
        merged = torch.full(embeds.shape[:-1], 2)
        assert marks_of(model(inputs_embeds=embeds, attention_mask=merged, output_attentions=True)).tolist() == [9]
        model(inputs_embeds=embeds, global_attention_mask=torch.zeros_like(merged))
        assert not caplog.records
        for _ in range(3):
            assert marks_of(model(inputs_embeds=embeds, output_attentions=True)).tolist() == [0]
    assert len(caplog.records) == 1 and "global_attention_mask" in caplog.text and name in caplog.text


def test_classification_from_embeddings_marks_the_first_valid_token(caplog: pytest.LogCaptureFixture) -> None:
    model, rows = build(SEQUENCE), batch([9, 4], side="left")
    embeds = model.get_input_embeddings()(rows.ids)
    output = model(inputs_embeds=embeds, attention_mask=rows.mask, output_attentions=True)
    assert marks_of(output).tolist() == [1, 1] and not caplog.records
