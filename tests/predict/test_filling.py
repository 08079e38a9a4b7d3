"""Gaps of a text: their places, the model's own probabilities, windows around them."""

import pytest
import torch

from longspan.predict import fill
from longspan.predict.loading import load
from tests.predict.fakes import WORDS, save_checkpoint

LONG = f"{WORDS} <mask> {WORDS} {WORDS} <mask> {WORDS}"


@pytest.fixture(scope="module", params=["longformer", "nystromformer"])
def loaded(request, tmp_path_factory):
    return load(save_checkpoint(tmp_path_factory.mktemp("model"), request.param), device="cpu")


def direct(loaded, text):
    """(gaps, vocabulary) probabilities of a text that the model reads whole."""
    inputs = loaded.encoding.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        logits = loaded.model(**{key: inputs[key] for key in ("input_ids", "attention_mask")}).logits
    return logits[inputs["input_ids"] == loaded.encoding.tokenizer.mask_token_id].softmax(-1)


def test_gaps_slice_the_text_and_hold_the_models_probabilities(loaded):
    text = "the <mask> may\r\n assign <mask> to é a buyer<mask>"
    gaps = fill(loaded, text, top_k=3)
    assert [text[gap.start : gap.end] for gap in gaps] == ["<mask>"] * 3
    for gap, row in zip(gaps, direct(loaded, text), strict=True):
        best = row.topk(3)
        assert [c.score for c in gap.candidates] == pytest.approx(best.values.tolist(), abs=1e-6)
        tokens = loaded.encoding.tokenizer.convert_ids_to_tokens(best.indices.tolist())
        assert [c.token for c in gap.candidates] == tokens
        assert all(c.text == c.text.strip() for c in gap.candidates)


def test_the_whole_vocabulary_sums_to_one(loaded):
    (gap,) = fill(loaded, "a <mask>", top_k=320)
    assert sum(c.score for c in gap.candidates) == pytest.approx(1, abs=1e-5)


def test_a_gap_of_a_long_text_is_read_with_a_full_window_around_it(loaded):
    gaps = fill(loaded, LONG, top_k=4)
    assert [LONG[gap.start : gap.end] for gap in gaps] == ["<mask>"] * 2
    ids = loaded.encoding.tokenizer(LONG)["input_ids"]
    assert len(ids) > 2 * loaded.encoding.max_length
    mask = loaded.encoding.tokenizer.mask_token_id
    places = [i for i, token in enumerate(ids) if token == mask]
    for gap, place in zip(gaps, places, strict=True):
        start = min(max(place - 30, 1), len(ids) - 61)  # 60 tokens of text and two special ones
        window = torch.tensor([[ids[0], *ids[start : start + 60], ids[-1]]])
        with torch.inference_mode():
            row = loaded.model(input_ids=window).logits[0, place - start + 1].softmax(-1)
        assert [c.score for c in gap.candidates] == pytest.approx(row.topk(4).values.tolist(), abs=1e-6)


def test_many_gaps_in_windows_and_batches_of_any_size(loaded):
    text = LONG * 3
    one = fill(loaded, text, batch_tokens=1)
    many = fill(loaded, text, batch_tokens=10**6)
    assert [(g.start, g.end) for g in one] == [(g.start, g.end) for g in many] and len(one) == 6
    for a, b in zip(one, many, strict=True):
        assert [c.score for c in a.candidates] == pytest.approx([c.score for c in b.candidates], abs=1e-5)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("no gap", {}, "the text holds no <mask>"),
        ("", {}, "the text holds no <mask>"),
        ("<mask>", {"top_k": 0}, "top_k must be from 1 to 320"),
        ("<mask>", {"top_k": 321}, "top_k must be from 1 to 320.*got 321"),
    ],
)
def test_what_cannot_be_filled_is_said(loaded, text, options, message):
    with pytest.raises(ValueError, match=message):
        fill(loaded, text, **options)
    with pytest.raises(TypeError, match="text must be a str"):
        fill(loaded, None)


def test_another_tokenizers_mask_is_written_the_same(tmp_path, loaded, monkeypatch):
    tokenizer = loaded.encoding.tokenizer
    expected = fill(loaded, "the <mask> may")
    before = tokenizer.mask_token
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    try:
        monkeypatch.setattr(loaded.model.config, "vocab_size", 320)
        loaded.model.resize_token_embeddings(len(tokenizer))
        (a,), (b,) = fill(loaded, "the <mask> may"), fill(loaded, "the [MASK] may")
        assert (a.start, a.end, b.start, b.end) == (4, 10, 4, 10)
    finally:
        tokenizer.mask_token = before
        loaded.model.resize_token_embeddings(320)
    assert [g.start for g in fill(loaded, "the <mask> may")] == [expected[0].start]
