"""Known faults of other implementations, one named test each: lengths, windows, padding and global tokens.

The number is that of the list of faults that the project keeps; the docstring says what goes wrong elsewhere.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DataCollatorWithPadding

from longspan import LongformerModel, LongformerTokenizer, sliding_window_attention
from longspan.models.longformer.attention import Visibility
from longspan.ops.window import sdpa
from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    MASKED_LM,
    QUESTION,
    SEP,
    SEQUENCE,
    TOKEN,
    assert_same,
    batch,
    build,
    config,
    labels,
    predictions,
    words,
)
from tests.models.tokenizer_texts import SMALL_BPE


def dense(model: Any) -> Any:
    """The same weights with the dense backend."""
    other = type(model)._from_config(model.config, attn_implementation="eager").to(model.dtype)
    other.load_state_dict(model.state_dict())
    return other.eval()


def test_fault_01_any_length_at_every_level(caplog: pytest.LogCaptureFixture) -> None:
    """Elsewhere: the layer asserts a multiple of the window, the model pads and says so."""
    model = build(BASE, attention_window=12)
    layer = model.encoder.layer[0]
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        for length in range(1, 60):
            assert model(words(1, length)).last_hidden_state.shape == (1, length, 16)
            states = torch.randn(1, length, 16)
            assert layer(states, Visibility(None, None), False)[0].shape == states.shape
            heads = states.unflatten(-1, (2, 8))
            assert sliding_window_attention(heads, heads, heads, (6, 6)).shape == heads.shape
    assert not caplog.records


def test_fault_02_short_input_is_one_dense_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere: 8 tokens cost what 512 do."""
    monkeypatch.setattr(sdpa, "window_kernel", None)  # calling it raises
    monkeypatch.setattr(sdpa, "band_backward", None)
    model = build(BASE, attention_window=32)
    for length in (1, 16, 33):
        model(**batch([length], "first").inputs(BASE)).last_hidden_state.sum().backward()
    with pytest.raises(TypeError):
        model(words(1, 34))


@pytest.mark.parametrize("windows", [[16, 24], [24, 16], [2, 50], [0, 7]])
def test_fault_03_windows_differ_by_layer(windows: list[int]) -> None:
    """Elsewhere: AssertionError unless the largest window is a multiple of the others."""
    model = build(BASE, attention_window=windows).double()
    for lengths in ([72, 40], [1], [23]):
        rows = batch(lengths, "ragged", seed=1)
        assert_same(model(**rows.inputs(BASE)), dense(model)(**rows.inputs(BASE)), rows.valid, 1e-11)


def reach(model: Any, length: int, center: int) -> list[int]:
    """The tokens whose hidden state changes with the embedding of one token."""
    embeds = torch.randn(1, length, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = embeds.clone()
    moved[0, center, :8] += 1  # not all of it: the normalisation would take that away
    difference = (model(inputs_embeds=embeds)[0] - model(inputs_embeds=moved)[0]).abs().amax((0, 2))
    return difference.nonzero().flatten().tolist()


@pytest.mark.parametrize("window", [0, 1, 2, 3, 5, 15, 16])
def test_fault_04_05_window_w_is_half_of_w_on_each_side(window: int) -> None:
    """Elsewhere: odd windows and 0 are refused, and users ask whether 512 means 512 or 1,024."""
    model = build(BASE, attention_window=window, num_hidden_layers=1).double()
    half = window // 2
    assert reach(model, 50, 25) == list(range(25 - half, 25 + half + 1))
    assert reach(model, 50, 1) == list(range(min(50, 1 + half + 1)))[max(0, 1 - half) :]


def test_fault_06_length_beyond_positions_names_the_limit() -> None:
    """Elsewhere: IndexError, or an assertion on the device, at 4,097 of 4,098 positions."""
    model = build(BASE, max_position_embeddings=30)
    assert model(words(2, 28)).last_hidden_state.isfinite().all()
    with pytest.raises(ValueError, match=r"29 tokens.*positions for 28 \(max_position_embeddings 30, 2"):
        model(words(2, 29))
    with pytest.raises(ValueError, match=r"29 tokens.*positions for 28"):
        model(inputs_embeds=torch.zeros(2, 29, 16))


def test_fault_07_only_real_tokens_take_positions() -> None:
    """Elsewhere: 40 embeddings with window 64 and 50 positions are an IndexError."""
    model = build(BASE, attention_window=64, max_position_embeddings=50)
    assert model(inputs_embeds=torch.randn(1, 40, 16)).last_hidden_state.shape == (1, 40, 16)
    assert model(torch.cat([words(1, 48), torch.ones(1, 80, dtype=torch.long)], 1))[0].shape == (1, 128, 16)


@pytest.mark.parametrize("name", CLASSES)
def test_fault_08_every_head_works_from_embeddings(name: str) -> None:
    """Elsewhere: classification builds its global mask from ids that are not there."""
    model, rows = build(name), batch([20, 13])
    given = rows.inputs(name, **labels(name, rows))
    given["inputs_embeds"] = model.get_input_embeddings()(given.pop("input_ids"))
    del given["global_attention_mask"]
    output = model(**given)
    assert all(x.isfinite().all() for x in predictions(output).values())
    if name != BASE:
        output.loss.backward()


@pytest.mark.parametrize("length", [1, 13, 60])
def test_fault_09_all_maps_have_the_length_of_the_caller(length: int) -> None:
    """Elsewhere: global_attentions has the padded length."""
    output = build(BASE, attention_window=[16, 6])(
        **batch([length], "first").inputs(BASE, output_attentions=True, output_hidden_states=True)
    )
    assert [x.shape for x in output.attentions] == [(1, 2, length, 1 + 17), (1, 2, length, 1 + 7)]
    assert [x.shape for x in output.global_attentions] == [(1, 2, length, 1)] * 2
    assert [x.shape for x in output.hidden_states] == [(1, length, 16)] * 3


def test_fault_10_type_ids_out_of_range_are_named() -> None:
    """Elsewhere: IndexError, or an assertion on the device; the checkpoints have one type only."""
    model = build(BASE, type_vocab_size=1)
    model(words(1, 5), token_type_ids=torch.zeros(1, 5, dtype=torch.long))
    with pytest.raises(ValueError, match="token_type_ids must lie within type_vocab_size, 0 to 0, got 1"):
        model(words(1, 5), token_type_ids=torch.ones(1, 5, dtype=torch.long))


@pytest.mark.parametrize("name", [QUESTION, CHOICE])
def test_fault_11_any_number_of_separators(name: str) -> None:
    """Elsewhere: AssertionError unless each row has exactly three."""
    rows = batch([30] * 5)
    marks = torch.zeros_like(rows.ids)
    for row, separators in enumerate([[], [8], [8, 29], [8, 9, 29], [8, 9, 15, 20, 29]]):
        rows.ids[row, separators] = SEP
        chosen = [0] if not separators else range(8) if name == QUESTION else range(10, 30)
        marks[row, list(chosen)] = 1
    model, given = build(name).double(), rows.inputs(name)
    del given["global_attention_mask"]
    assert_same(model(**given), model(**type(rows)(rows.ids, rows.mask, marks).inputs(name)), rows.valid, 0.0)


@pytest.mark.parametrize("name", CLASSES)
def test_fault_12_both_ways_to_say_global_are_one(name: str) -> None:
    """Elsewhere: "1 or 2?", "do I pass both masks?"."""
    model, rows = build(name).double(), batch([24, 15], "first")
    expected = model(**rows.inputs(name))
    merged = type(rows)(rows.ids, rows.mask + rows.marks, rows.marks)
    for given in (merged.inputs(name), {**merged.inputs(name), "global_attention_mask": None}):
        assert_same(model(**given), expected, rows.valid, 0.0)


def test_fault_12_indices_are_no_mask() -> None:
    """Elsewhere: "what are [1, 4, 21]?" They are columns, and a list of columns is refused by its shape."""
    with pytest.raises(ValueError, match="global_attention_mask must have the shape"):
        build(BASE)(words(1, 30), global_attention_mask=torch.tensor([[1, 4, 21]]))


@pytest.mark.parametrize("name", [SEQUENCE, QUESTION, CHOICE])
def test_fault_13_the_default_mask_is_there_in_training_too(name: str) -> None:
    """Elsewhere: a mask that is forgotten in training is missing in silence."""
    model, rows = build(name).train(), batch([24, 15])
    rows.ids[:, 6] = SEP
    given = rows.inputs(name, **labels(name, rows), output_attentions=True)
    del given["global_attention_mask"]
    output = model(**given)
    assert output.global_attentions is not None
    output.loss.backward()
    assert model.longformer.encoder.layer[0].attention.self.query_global.weight.grad.any()


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("keyword", ["global_attn_mask", "head_mask"])
def test_fault_14_unknown_keywords_raise(name: str, keyword: str) -> None:
    """Elsewhere: a misspelt mask is swallowed."""
    rows = batch([9])
    with pytest.raises(TypeError, match=keyword):
        build(name)(**rows.inputs(name), **{keyword: rows.marks})


@pytest.mark.parametrize("side", ["left", "right"])
def test_fault_15_padding_pads_the_global_mask(side: str) -> None:
    """Elsewhere: a batch of different lengths with global_attention_mask cannot be collated."""
    tokenizer = LongformerTokenizer.from_pretrained(SMALL_BPE, padding_side=side)
    texts = [tokenizer(text) for text in ("One sentence.", "Another one, which is longer by some words.")]
    for text in texts:
        text["global_attention_mask"] = [1] + [0] * (len(text["input_ids"]) - 1)
    given = DataCollatorWithPadding(tokenizer)(texts)
    model = LongformerModel(config(vocab_size=len(tokenizer))).eval()
    together = model(**given).last_hidden_state
    for row, text in enumerate(texts):
        alone = model(**{key: torch.tensor([x]) for key, x in text.items()}).last_hidden_state
        torch.testing.assert_close(together[row][given["attention_mask"][row] == 1], alone[0])


@pytest.mark.parametrize("name", [MASKED_LM, TOKEN, SEQUENCE])
@pytest.mark.parametrize("checkpointing", [None, {"use_reentrant": False}])
def test_fault_16_no_parameter_is_unused(name: str, checkpointing: dict[str, bool] | None) -> None:
    """Elsewhere: distributed training wants a flag, since a batch without global tokens leaves projections unused."""
    model = build(name).train()
    if checkpointing:
        model.gradient_checkpointing_enable(checkpointing)
    for marks in ("none", "first", "none"):
        model.zero_grad()
        rows = batch([18, 11], marks)
        model(**rows.inputs(name, **labels(name, rows))).loss.backward()
        assert all(p.grad is not None for p in model.parameters())


def some(*columns: int, length: int = 40) -> Tensor:
    return torch.zeros(length, dtype=torch.long).index_fill(0, torch.tensor(columns, dtype=torch.long), 1)


def test_fault_17_globals_anywhere_and_as_many_as_one_likes() -> None:
    """Elsewhere: at the beginning only, no more than the window, the same number in each row."""
    model = build(BASE, attention_window=6).double()
    rows = batch([40, 40, 40, 33, 40])
    rows.marks[:] = torch.stack([some(39), some(), some(0, 7, 8, 9, 20, 21, 22, 38), some(3, 32, 35), some(*range(40))])
    assert_same(model(**rows.inputs(BASE)), dense(model)(**rows.inputs(BASE)), rows.valid, 1e-11)
