"""forward of each class: parameters, order and defaults of transformers, and ours by keyword only."""

from __future__ import annotations

import dataclasses
import inspect
import warnings

import pytest
import torch
import transformers

import longspan
from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    HEADS,
    MASKED_LM,
    QUESTION,
    SEQUENCE,
    TOKEN,
    batch,
    build,
    fields,
    labels,
)

OURS = {
    BASE: {"segment_ids"},
    MASKED_LM: {"segment_ids", "logits_to_keep", "num_items_in_batch"},
    SEQUENCE: {"num_items_in_batch"},
    CHOICE: {"num_items_in_batch"},
    TOKEN: {"segment_ids", "num_items_in_batch"},
    QUESTION: {"segment_ids", "num_items_in_batch"},
}


def split(name: str, module: object) -> tuple[list[tuple[str, object]], set[str], bool]:
    """Parameters by position with their defaults, those by keyword only, and whether any keyword passes."""
    parameters = inspect.signature(getattr(module, name).forward).parameters.values()
    positional = [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert all(p.default is None for p in parameters if p.kind is p.KEYWORD_ONLY)
    return positional, keywords, any(p.kind is p.VAR_KEYWORD for p in parameters)


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_of_forward(name: str) -> None:
    ours, keywords, anything = split(name, longspan)
    theirs, _, _ = split(name, transformers)
    assert ours == theirs
    assert keywords == OURS[name]
    assert not anything


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("keyword", ["global_attn_mask", "head_mask", "labels_", "use_cache"])
def test_unknown_keywords_raise(name: str, keyword: str) -> None:
    with pytest.raises(TypeError, match=keyword):
        build(name)(**batch([5]).inputs(name), **{keyword: torch.ones(1, 5)})


@pytest.mark.parametrize("name", CLASSES)
def test_positional_arguments(name: str) -> None:
    """The first arguments of the documentation's calls, by position."""
    model, rows = build(name), batch([9, 6], "first")
    given = rows.inputs(name)
    second = torch.zeros_like(given["input_ids"]) if name == CHOICE else given["attention_mask"]
    third = given["attention_mask"] if name == CHOICE else given["global_attention_mask"]
    fourth = [given["global_attention_mask"]] if name == CHOICE else []
    torch.testing.assert_close(model(given["input_ids"], second, third, *fourth)[0], model(**given)[0])


@pytest.mark.parametrize("name", HEADS)
def test_loss_comes_first_and_is_absent_without_targets(name: str) -> None:
    model, rows = build(name), batch([9, 6])
    assert "loss" not in model(**rows.inputs(name))
    assert next(iter(model(**rows.inputs(name, **labels(name, rows))).keys())) == "loss"


@pytest.mark.parametrize("alone", ["start_positions", "end_positions"])
def test_one_position_is_no_target(alone: str) -> None:
    rows = batch([9])
    assert build(QUESTION)(**rows.inputs(QUESTION, **{alone: torch.tensor([3])})).loss is None


@pytest.mark.parametrize("name", CLASSES)
def test_configuration_decides_what_the_call_leaves_open(name: str) -> None:
    given = batch([9, 6], "first").inputs(name)
    asked = build(name, output_attentions=True, output_hidden_states=True)(**given)
    assert len(asked.attentions) == len(asked.global_attentions) == 2 and len(asked.hidden_states) == 3
    model = build(name, return_dict=False)
    assert isinstance(model(**given), tuple)
    assert not isinstance(model(**given, return_dict=True), tuple)


def test_masked_lm_labels_is_labels_and_wins() -> None:
    model, rows = build(MASKED_LM), batch([12, 8])
    wanted = labels(MASKED_LM, rows)["labels"]
    other = labels(MASKED_LM, rows, seed=5)["labels"]
    loss = model(rows.ids, rows.mask, labels=wanted).loss
    assert not torch.equal(loss, model(rows.ids, rows.mask, labels=other).loss)
    with pytest.warns(FutureWarning, match="masked_lm_labels"):
        renamed = model(rows.ids, rows.mask, labels=other, masked_lm_labels=wanted).loss
    torch.testing.assert_close(renamed, loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(rows.ids, rows.mask, labels=wanted)


@pytest.mark.parametrize("name", CLASSES)
def test_output_classes(name: str) -> None:
    output = build(name)(**batch([5]).inputs(name))
    expected = type(getattr(transformers, name)(transformers.LongformerConfig(**fields()))(**batch([5]).inputs(name)))
    assert type(output).__name__ == expected.__name__
    assert [f.name for f in dataclasses.fields(type(output))] == [f.name for f in dataclasses.fields(expected)]
