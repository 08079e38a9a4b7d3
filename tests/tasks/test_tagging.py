"""Tagging: words and their tokens, windows that tag each word once, entities and their scores."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.models.longformer import LongformerForTokenClassification
from longspan.models.presets import preset_config, token_fields
from longspan.predict.loop import run
from longspan.tasks.conll import from_row
from longspan.tasks.examples import BadRow, Source, TaggedExample
from longspan.tasks.logits import NO_TARGET
from longspan.tasks.registry import make_task
from longspan.tasks.tagging import Tag, find_first_tokens
from longspan.tasks.task import Encoding
from tests.tasks.small_tokenizers import KINDS, SENTENCES, byte_level, word_piece

LABELS = ("O", "B-party", "I-party", "B-thing", "I-thing")
TASK = Tag(LABELS)
ENCODING = Encoding(byte_level(), None, 0)


def example(words, tags=None, id="x"):
    found = from_row({"tokens": words, "tags": tags}, id, Source("a", 1))
    assert isinstance(found, TaggedExample), found
    return found


def answer(task, features, labels_of_tokens):
    """Outputs of a model that is sure: logits 10 for the label of each token, given by place in the text's tokens."""
    outputs, seen = [], {}
    for window in features:
        logits = np.zeros((len(window["input_ids"]), len(task.labels)), dtype=np.float32)
        for word, place in zip(window["words"], window["places"], strict=True):
            assert word not in seen, "a word is tagged twice"
            seen[word] = place
            logits[place, task.labels.index(labels_of_tokens[word])] = 10
        outputs.append({"logits": logits})
    return outputs


def test_a_word_has_its_first_token():
    #        "U.S., law": one token holds the end of a word and the next one
    tokens = [(0, 1), (1, 2), (2, 3), (3, 5), (6, 6), (6, 8), (6, 9)]
    words = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 9), (10, 11)]
    assert find_first_tokens(tokens, words) == {0: 0, 1: 1, 2: 2, 3: 3, 5: 5}
    # "▁law" of SentencePiece holds the blank before it
    assert find_first_tokens([(0, 2), (2, 6)], [(0, 2), (3, 6)]) == {0: 0, 1: 1}
    assert find_first_tokens([], [(0, 1)]) == {}


@given(st.lists(st.integers(1, 4), max_size=8), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=14))
def test_first_tokens_by_brute_force(lengths, steps):
    words, tokens, place = [], [], 0
    for length in lengths:
        words.append((place, place + length))
        place += length + (length % 2)
    start = 0
    for step, length in steps:
        start += step
        tokens.append((start, start + length))
    expected = {}
    for token, (a, b) in enumerate(tokens):
        for word, (c, d) in enumerate(words):
            if word not in expected and max(a, c) < min(b, d):
                expected[word] = token
                break
    assert find_first_tokens(tokens, words) == expected


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_word_is_tagged_once_in_any_window(kind, data):
    words = data.draw(st.lists(st.sampled_from(" ".join(SENTENCES).split()), min_size=1, max_size=40))
    tags = data.draw(st.lists(st.sampled_from(LABELS), min_size=len(words), max_size=len(words)))
    max_length = data.draw(st.integers(3, 30))
    stride = data.draw(st.integers(0, max_length - 3))
    encoding = Encoding(KINDS[kind](), max_length, stride)
    gold = example(words, tags)
    features = TASK.encode(gold, encoding, False)
    assert all(len(w["input_ids"]) <= max_length for w in features)
    prediction = TASK.decode(gold, features, answer(TASK, features, tags))
    assert prediction["tags"] == tags
    # in training the same tokens carry the labels
    trained = TASK.encode(gold, encoding, True)
    assert [w["input_ids"] for w in trained] == [w["input_ids"] for w in features]
    for window, other in zip(trained, features, strict=True):
        expected = [NO_TARGET] * len(window["input_ids"])
        for word, place in zip(other["words"], other["places"], strict=True):
            expected[place] = LABELS.index(tags[word])
        assert window["labels"] == expected


def test_labels_stand_on_the_first_piece():
    gold = example(["licensee", "foreseen"], ["B-party", "O"])
    (window,) = TASK.encode(gold, ENCODING, True)
    pieces = byte_level().convert_ids_to_tokens(window["input_ids"])
    labelled = [piece for piece, label in zip(pieces, window["labels"], strict=True) if label != NO_TARGET]
    assert len(pieces) > 4 and len(labelled) == 2
    assert "licensee".startswith(labelled[0]) and labelled[1].startswith("Ġ")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["B-party", None, "I-party"], ["B-party", "I-party", "I-party"]),
        (["B-party", None, "O"], ["B-party", "O", "O"]),
        (["B-party", None, "B-party"], ["B-party", "O", "B-party"]),
        ([None, None, "I-party"], ["O", "O", "I-party"]),
        (["O", "B-thing", None], ["O", "B-thing", "O"]),
    ],
)
def test_a_word_without_a_token_gets_a_tag(tags, expected):
    # BERT's normalizer drops control characters
    gold = example([f"party{i}" if tag else "\u200b\u0001" for i, tag in enumerate(tags)])
    features = TASK.encode(gold, Encoding(word_piece(), None), False)
    tagged = [w for window in features for w in window["words"]]
    assert tagged == [i for i, tag in enumerate(tags) if tag]
    assert TASK.decode(gold, features, answer(TASK, features, tags))["tags"] == expected


def test_nothing_but_words_without_tokens():
    gold = example(["\u0001", "\u0002"], ["O", "O"])
    features = TASK.encode(gold, Encoding(word_piece(), None), False)
    assert [w["input_ids"] for w in features] == [[2, 3]]
    assert TASK.decode(gold, features, answer(TASK, features, {}))["tags"] == ["O", "O"]
    (window,) = TASK.encode(gold, Encoding(word_piece(), None), True)
    assert window["labels"] == [NO_TARGET, NO_TARGET]


def test_entities_slice_the_text():
    text = "Neither the Licensor, Inc. nor “Foo” pays."
    spans = [{"start": 12, "end": 25, "label": "party"}, {"start": 32, "end": 35, "label": "party"}]
    gold = from_row({"text": text, "spans": spans}, "7", Source("a", 1))
    features = TASK.encode(gold, replace(ENCODING, max_length=9, stride=3), False)
    assert len(features) > 2
    prediction = TASK.decode(gold, features, answer(TASK, features, gold.tags))
    assert prediction["id"] == "7"
    found = [(e["label"], e["start"], e["end"], e["text"]) for e in prediction["entities"]]
    assert found == [("party", 12, 25, "Licensor, Inc"), ("party", 32, 35, "Foo")]
    sure = np.exp(10) / (np.exp(10) + 4)
    assert [e["score"] for e in prediction["entities"]] == [pytest.approx(sure, abs=1e-4)] * 2


def test_scores_are_those_of_whole_entities():
    gold = [example(["a", "b", "c", "d"], ["B-party", "I-party", "O", "B-thing"]), example(["e"], ["O"])]
    tags = [["B-party", "I-party", "O", "B-party"], ["O"]]
    scores = TASK.score(gold, [{"id": "x", "tags": t} for t in tags])
    assert scores == pytest.approx(
        {"precision": 0.5, "recall": 0.5, "f1": 0.5, "accuracy": 0.8, "f1_party": 2 / 3, "f1_thing": 0.0}
    )
    assert TASK.score(gold, [{"tags": list(e.tags)} for e in gold])["f1"] == 1


def test_scores_where_there_is_no_entity():
    gold = [example(["a"], ["O"])]
    assert TASK.score(gold, [{"tags": ["O"]}]) == {"precision": 0, "recall": 0, "f1": 0, "accuracy": 1}
    with pytest.raises(ValueError, match="a:1: there are no tags to score against"):
        TASK.score([example(["a"])], [{"tags": ["O"]}])


def test_labels_are_learnt_with_all_their_marks():
    task = Tag()
    task.learn([example(["a", "b"], ["B-y", "O"]), example(["c"]), example(["d"], ["I-x"])])
    assert task.labels == ("O", "B-x", "I-x", "B-y", "I-y")
    assert task.settings() == {
        "id2label": {0: "O", 1: "B-x", 2: "I-x", 3: "B-y", 4: "I-y"},
        "label2id": {"O": 0, "B-x": 1, "I-x": 2, "B-y": 3, "I-y": 4},
        "problem_type": "single_label_classification",
    }
    assert make_task("tag", task.options()).labels == task.labels
    with pytest.raises(ValueError, match="no example has tags"):
        Tag().learn([example(["a"])])
    with pytest.raises(ValueError, match="labels must differ, got O, O"):
        Tag(["O", "O"])


def test_rows_that_fit_nothing_are_bad():
    bad = TASK.encode(example(["a"]), ENCODING, True)
    assert isinstance(bad, BadRow) and bad.reason == "there are no tags to learn from"
    for training in (True, False):
        bad = TASK.encode(example(["a"], ["B-date"]), ENCODING, training)
        assert isinstance(bad, BadRow) and bad.source == Source("a", 1)
        assert bad.reason == "the tag 'B-date' is none of the model's: O, B-party, I-party, B-thing, I-thing"
    assert isinstance(TASK.encode(example(["a"]), ENCODING, False), list)


def test_a_model_tags_long_and_short_documents_alike():
    torch.manual_seed(0)
    fields = {**token_fields(byte_level()), **TASK.settings()}
    model = LongformerForTokenClassification(preset_config("tiny", max_length=40, **fields))
    encoding = Encoding(byte_level(), 40, 10)
    examples = [example(s.split(), id=str(i)) for i, s in enumerate([SENTENCES[0], " ".join(SENTENCES), "party"])]
    features = [TASK.encode(e, encoding, False) for e in examples]
    assert [len(f) > 1 for f in features] == [False, True, False]
    outputs = list(run(TASK, model, features, encoding, batch_tokens=80))
    for one, windows, found in zip(examples, features, outputs, strict=True):
        prediction = TASK.decode(one, windows, found)
        assert len(prediction["tags"]) == len(one.offsets) and set(prediction["tags"]) <= set(LABELS)
        for entity in prediction["entities"]:
            assert one.text[entity["start"] : entity["end"]] == entity["text"]
            assert 0.2 <= entity["score"] <= 1


def test_a_model_learns_tags():
    torch.manual_seed(0)
    kinds = {"party": "B-party", "licensee": "B-party", "licensor": "B-party", "agreement": "B-thing"}
    examples = [
        example(words, [kinds.get(word.strip(",.:;"), "O") for word in words], str(i))
        for i, words in enumerate(sentence.split() for sentence in SENTENCES)
    ]
    task, encoding = Tag(), Encoding(byte_level(), 24, 8)
    task.learn(examples)
    fields = {**token_fields(byte_level()), **task.settings()}
    model = LongformerForTokenClassification(preset_config("tiny", max_length=24, **fields))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = task.collate([w for e in examples for w in task.encode(e, encoding, True)], encoding)
    for _ in range(40):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    features = [task.encode(e, encoding, False) for e in examples]
    outputs = run(task, model, features, encoding)
    predictions = [task.decode(*parts) for parts in zip(examples, features, outputs, strict=True)]
    assert task.score(examples, predictions)["f1"] == 1


def test_batches():
    gold = [example(["party"], ["O"]), example(SENTENCES[0].split(), ["O"] * 14)]
    windows = [w for e in gold for w in TASK.encode(e, ENCODING, True)]
    batch = TASK.collate(windows, ENCODING)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["attention_mask"].sum(1).tolist() == [len(w["input_ids"]) for w in windows]
    assert (batch["labels"] != NO_TARGET).sum(1).tolist() == [1, 14] and TASK.count_targets(batch) == 15
    assert (batch["input_ids"][0][batch["attention_mask"][0] == 0] == 1).all()
    assert set(TASK.collate(TASK.encode(gold[0], ENCODING, False), ENCODING)) == {"input_ids", "attention_mask"}
