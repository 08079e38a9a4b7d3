"""Masked language modelling: windows, blocks, masks that come back, and scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.models.presets import preset_config, token_fields
from longspan.predict.loading import model_class
from longspan.predict.loop import run
from longspan.tasks.examples import Source, TextExample
from longspan.tasks.logits import NO_TARGET
from longspan.tasks.mlm import MaskedLanguage
from longspan.tasks.registry import make_task
from longspan.tasks.task import Encoding
from tests.tasks.small_tokenizers import KINDS, SENTENCES, byte_level

ENCODING = Encoding(byte_level(), 16)
TEXT = " ".join(SENTENCES)


def example(text, number=1):
    return TextExample(f"a:{number}", Source("a", number), text)


def plain(text, tokenizer=None):
    return (tokenizer or byte_level())(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_windows_hold_every_token_once(kind, training):
    tokenizer = KINDS[kind]()
    features = MaskedLanguage().encode(example(TEXT), Encoding(tokenizer, 16), training)
    assert all(w["input_ids"][0] == tokenizer.cls_token_id for w in features)
    assert all(w["input_ids"][-1] == tokenizer.sep_token_id for w in features)
    assert [len(w["input_ids"]) for w in features[:-1]] == [16] * (len(features) - 1)
    assert [i for w in features for i in w["input_ids"][1:-1]] == plain(TEXT, tokenizer)
    assert [w["tokens"] for w in features] == [len(w["input_ids"]) - 2 for w in features]
    (whole,) = MaskedLanguage().encode(example(TEXT), Encoding(tokenizer, None), training)
    assert whole["input_ids"] == tokenizer(TEXT)["input_ids"]


def test_a_text_without_tokens():
    assert MaskedLanguage().encode(example(""), ENCODING, True) == []
    (window,) = MaskedLanguage().encode(example(""), ENCODING, False)
    assert window == {"input_ids": [0, 2], "tokens": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_the_words_of_the_text(kind):
    text = "neither party shall be liable for losses"
    (window,) = MaskedLanguage(whole_words=True).encode(example(text), Encoding(KINDS[kind](), None), True)
    ids, words = window["input_ids"][1:-1], window["words"][1:-1]
    assert window["words"][0] == window["words"][-1] == -1
    parts = [[i for i, w in zip(ids, words, strict=True) if w == word] for word in sorted(set(words))]
    assert [KINDS[kind]().decode(part).strip() for part in parts] == text.split()
    assert len(parts) < len(ids)  # some word has several tokens, or this shows nothing


@pytest.mark.parametrize("kind", KINDS)
def test_whole_words_are_masked_together(kind):
    encoding, task = Encoding(KINDS[kind](), 64), MaskedLanguage(whole_words=True)
    features = task.encode(example(TEXT), encoding, True)
    several = 0
    for epoch in range(20):
        labels = task.collate([{**w, "epoch": epoch, "row": i} for i, w in enumerate(features)], encoding)["labels"]
        for window, row in zip(features, labels.tolist(), strict=True):
            fates = {}
            for word, label in zip(window["words"], row, strict=False):
                fates.setdefault(word, []).append(label != NO_TARGET)
            assert not any(fates.pop(-1))
            assert all(len(set(fate)) == 1 for fate in fates.values())
            several += sum(len(fate) > 1 and fate[0] for fate in fates.values())
    assert several > 20


@given(
    st.lists(st.integers(1, 40), max_size=12), st.integers(3, 20), st.booleans(), st.sampled_from(["", " ", "party "])
)
@settings(max_examples=60, deadline=None)
def test_blocks_hold_all_texts_in_order(lengths, max_length, whole_words, empty):
    task = MaskedLanguage(whole_words=whole_words, blocks=True)
    encoding = Encoding(byte_level(), max_length)
    documents = ["party " * n for n in lengths] + [empty.strip()]
    features = [w for i, text in enumerate(documents) for w in task.encode(example(text, i + 1), encoding, True)]
    blocks = list(task.join(features, encoding))
    assert all(len(b["input_ids"]) == max_length for b in blocks[:-1])
    assert all(2 < len(b["input_ids"]) <= max_length for b in blocks)
    assert all((b["input_ids"][0], b["input_ids"][-1]) == (0, 2) for b in blocks)
    expected = []
    for text in filter(None, documents):
        # where a text ends with its block, the frame is separator enough
        expected += ([2] if len(expected) % (max_length - 2) else []) + plain(text)
    assert [i for b in blocks for i in b["input_ids"][1:-1]] == expected
    if whole_words:
        for block in blocks:
            assert [w == -1 for w in block["words"]] == [i in (0, 2) for i in block["input_ids"]]


def test_blocks_are_made_in_a_stream():
    task, read = MaskedLanguage(blocks=True), []

    def features():
        for number in range(100):
            read.append(number)
            yield from task.encode(example(TEXT, number), ENCODING, True)

    blocks = iter(task.join(features(), ENCODING))
    next(blocks)
    assert read == [0]


def test_blocks_only_shape_training():
    task, other = MaskedLanguage(blocks=True), MaskedLanguage()
    assert task.encode(example(TEXT), ENCODING, False) == other.encode(example(TEXT), ENCODING, False)
    features = other.encode(example(TEXT), ENCODING, True)
    assert other.join(features, ENCODING) is features
    with pytest.raises(ValueError, match="max_length must say how long the blocks are"):
        task.join([], replace(ENCODING, max_length=None))


def training(task, epoch, rows):
    (window,) = task.encode(example(TEXT), replace(ENCODING, max_length=None), True)
    return task.collate([{**window, "epoch": epoch, "row": row} for row in rows], ENCODING)["input_ids"]


def test_masks_depend_on_seed_epoch_and_row_only():
    task = MaskedLanguage()
    a, b, c = training(task, 0, [5, 6, 7])
    assert not (torch.equal(a, b) or torch.equal(a, c) or torch.equal(b, c))
    assert torch.equal(training(MaskedLanguage(), 0, [7, 5]), torch.stack([c, a]))
    assert not torch.equal(training(task, 1, [5])[0], a)
    assert not torch.equal(training(MaskedLanguage(seed=1), 0, [5])[0], a)


def test_evaluation_has_fixed_masks():
    features = MaskedLanguage().encode(example(TEXT), ENCODING, False)
    batch = MaskedLanguage().collate(features, ENCODING)
    other = MaskedLanguage(seed=3).collate(features[::-1], ENCODING)
    for key in batch:
        width = len(features[-1]["input_ids"])
        assert torch.equal(batch[key][:-1], other[key].flip(0)[:-1])
        assert torch.equal(batch[key][-1, :width], other[key][0, :width])
    again = [w for w in features if w["input_ids"] == features[0]["input_ids"]]
    assert torch.equal(MaskedLanguage().collate(again, ENCODING)["labels"], batch["labels"][: len(again)])


def test_padding():
    windows = [{"input_ids": [0, 9, 10, 11, 2], "tokens": 3}, {"input_ids": [0, 9, 2], "tokens": 1}]
    batch = MaskedLanguage().collate(windows, ENCODING)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch["input_ids"][1, 3:].tolist() == [1, 1]
    assert batch["labels"][1, 3:].tolist() == [NO_TARGET, NO_TARGET]
    assert torch.equal(batch.pop("logits_to_keep"), batch["labels"] != NO_TARGET)
    assert all(value.dtype == torch.int64 for value in batch.values())


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_perplexity_is_that_of_the_models_own_loss(family):
    torch.manual_seed(0)
    tokenizer, task = byte_level(), MaskedLanguage()
    model = model_class(family, task.head)(
        preset_config("tiny", family, max_length=64, **token_fields(tokenizer))
    ).eval()
    encoding = Encoding(tokenizer, 64, family=family)
    examples = [example(text, i) for i, text in enumerate([TEXT, SENTENCES[0], "", SENTENCES[1]])]
    features = [task.encode(e, encoding, False) for e in examples]
    outputs = run(task, model, features, encoding, batch_tokens=128)
    predictions = [task.decode(e, f, o) for e, f, o in zip(examples, features, outputs, strict=True)]
    scores = task.score(examples, predictions)
    with torch.no_grad():
        loss = model(**task.collate([w for f in features for w in f], encoding)).loss.item()
    assert scores["loss"] == pytest.approx(loss, rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert [p["id"] for p in predictions] == ["a:0", "a:1", "a:2", "a:3"]
    assert predictions[1]["tokens"] == len(plain(SENTENCES[0])) and predictions[2]["targets"] == 0


def test_a_model_learns_to_fill_gaps():
    torch.manual_seed(0)
    tokenizer, task = byte_level(), MaskedLanguage()
    encoding = Encoding(tokenizer, 64, family="nystromformer")
    examples = [example(text, i) for i, text in enumerate(SENTENCES)]
    rows = [w for e in examples for w in task.encode(e, encoding, True)]
    fields = token_fields(tokenizer)
    model = model_class("nystromformer", task.head)(preset_config("tiny", "nystromformer", max_length=64, **fields))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(50):
        batch = task.collate([{**row, "epoch": epoch, "row": i} for i, row in enumerate(rows)], encoding)
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    features = [task.encode(e, encoding, False) for e in examples]
    outputs = run(task, model, features, encoding)
    scores = task.score(examples, [task.decode(*parts) for parts in zip(examples, features, outputs, strict=True)])
    # a guess has 340, the frequencies of the tokens leave about 80
    assert scores["perplexity"] < 20


def test_a_model_that_knows_nothing_needs_the_bits_of_its_vocabulary():
    task, text = MaskedLanguage(), "party ü agreement " * 20
    features = task.encode(example(text), ENCODING, False)
    batch = task.collate(features, ENCODING)
    logits = torch.zeros(int(batch["logits_to_keep"].sum()), 1024)
    picked = task.pick(type("Outputs", (), {"logits": logits}), batch)
    assert picked["targets"].sum() == (picked["losses"] > 0).sum() == (batch["labels"] != NO_TARGET).sum() > 0
    outputs = [{key: value[i].numpy() for key, value in picked.items()} for i in range(len(features))]
    scores = task.score([example(text)], [task.decode(example(text), features, outputs)])
    assert scores["perplexity"] == pytest.approx(1024)
    assert scores["bits_per_character"] == pytest.approx(10 * len(plain(text)) / len(text))
    assert scores["bits_per_byte"] == pytest.approx(10 * len(plain(text)) / len(text.encode()))


def test_options_come_back():
    task = MaskedLanguage(whole_words=True, blocks=True, seed=4)
    again = make_task("mlm", task.options())
    assert type(again) is MaskedLanguage and again.options() == task.options()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"max_length must be at least 3, .* got 2"):
        MaskedLanguage().encode(example(TEXT), replace(ENCODING, max_length=2), True)
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        MaskedLanguage(seed=-1)
    nothing = {"nats": 0.0, "targets": 0, "tokens": 1, "characters": 1, "bytes": 1}
    with pytest.raises(ValueError, match="no token was masked"):
        MaskedLanguage().score([example("a")], [nothing])


def test_long_texts_are_cut_without_a_warning(caplog):
    features = MaskedLanguage().encode(example("party " * 5000), ENCODING, True)
    assert sum(w["tokens"] for w in features) == len(plain("party " * 5000)) and not caplog.records
    assert np.concatenate([w["input_ids"] for w in features]).max() < len(byte_level())
