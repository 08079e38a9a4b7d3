"""The task choose from files to scores."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from longspan.tasks.choose import Choose
from longspan.tasks.examples import BadRow, ChoiceExample, DataError, Source
from longspan.tasks.registry import make_task
from longspan.tasks.task import Encoding
from tests.tasks.small_tokenizers import KINDS, SENTENCES

LONG = " ".join(SENTENCES)


def example(choices=("a party", "the licensee pays"), label=0, prompt=SENTENCES[0]):
    return ChoiceExample("7", Source("file", 7), prompt, tuple(choices), label)


def encoding(max_length=None, stride=4, kind="WordPiece"):
    return Encoding(KINDS[kind](), max_length, stride)


def test_rows_become_examples(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"prompt": "p", "choices": ["a", "b"], "label": 1, "id": "x"}) + "\n")
    assert list(make_task("choose").read(str(file))) == [ChoiceExample("x", Source(str(file), 1), "p", ("a", "b"), 1)]
    with pytest.raises(DataError, match="unknown layout 'race'; choose knows table, swag, commonsenseqa"):
        Choose().read(str(file), "race")


@pytest.mark.parametrize("kind", KINDS)
def test_each_choice_follows_the_prompt(kind):
    enc = encoding(kind=kind)
    (features,) = Choose().encode(example(), enc, training=True)
    plain = [enc.tokenizer(SENTENCES[0], choice) for choice in example().choices]
    assert features["input_ids"] == [p["input_ids"] for p in plain]
    assert features["labels"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_prompt_is_cut_alike_for_all_choices(kind):
    enc = encoding(70, kind=kind)
    task = Choose()
    windows = task.encode(example(prompt=LONG), enc, training=False)
    assert len(windows) > 1
    whole = enc.tokenizer(LONG, add_special_tokens=False)["input_ids"]
    ends = [enc.tokenizer(LONG, choice)["input_ids"][1 + len(whole) :] for choice in example().choices]
    prompts = set()
    for window in windows:
        assert max(map(len, window["input_ids"])) <= 70
        for ids, end in zip(window["input_ids"], ends, strict=True):
            assert ids[-len(end) :] == end
        shared = {tuple(ids[: -len(end)]) for ids, end in zip(window["input_ids"], ends, strict=True)}
        assert len(shared) == 1
        prompts |= shared
    assert {token for ids in prompts for token in ids[1:]} >= set(whole)
    assert len(prompts) == len(windows)


def test_choices_that_leave_no_room_are_a_bad_row():
    found = Choose().encode(example(choices=("a", LONG), prompt=LONG), encoding(70), training=False)
    assert isinstance(found, BadRow) and "no room" in found.reason


def test_without_a_label_a_row_is_only_bad_in_training():
    assert Choose().encode(example(label=None), encoding(), True).reason == "there is no label"
    (features,) = Choose().encode(example(label=None), encoding(), False)
    assert "labels" not in Choose().collate([features], encoding())


def features_of(*examples):
    return [Choose().encode(e, encoding(), training=True)[0] for e in examples]


def test_batches():
    batch = Choose().collate(features_of(example(), example(label=1)), encoding())
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["input_ids"].shape[:2] == (2, 2)
    assert batch["labels"].tolist() == [0, 1]
    plain = encoding().tokenizer([SENTENCES[0]] * 2, list(example().choices), padding=True, return_tensors="pt")
    for name, values in plain.items():
        assert batch[name][0].equal(values), name


def test_rows_with_fewer_choices_are_padded():
    rows = features_of(example(), example(("a", "b", "c"), label=2))
    batch = Choose().collate(rows, encoding())
    assert batch["choice_mask"].tolist() == [[True, True, False], [True, True, True]]
    assert batch["input_ids"].shape[:2] == (2, 3)
    assert batch["attention_mask"][0, 2].sum() == 0
    assert (batch["input_ids"][0, 2] == encoding().tokenizer.pad_token_id).all()


@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
def test_a_padded_choice_is_not_in_the_loss(family):
    import longspan

    torch.manual_seed(0)
    tokenizer = encoding().tokenizer
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = getattr(longspan, f"{family}Config")(
        vocab_size=len(tokenizer),
        max_position_embeddings=200,
        type_vocab_size=2,
        pad_token_id=0,
        sep_token_id=3,
        **sizes,
    )
    model = getattr(longspan, f"{family}ForMultipleChoice")(config).eval()
    task = Choose()
    rows = features_of(example(), example(("a", "b", "c"), label=2))
    batch = task.collate(rows, encoding())
    inputs = {name: value for name, value in batch.items() if name not in ("labels", *task.targets)}
    outputs = model(**inputs)
    alone = [
        model(**{n: v for n, v in task.collate([row], encoding()).items() if n != "labels"}).logits for row in rows
    ]
    assert outputs.logits[0, :2].allclose(alone[0][0], atol=1e-5)
    expected = sum(F.cross_entropy(x, torch.tensor([row["labels"]])) for x, row in zip(alone, rows, strict=True))
    assert torch.allclose(task.loss(outputs, batch), expected / 2, atol=1e-5)
    assert torch.allclose(task.loss(outputs, batch, num_items_in_batch=4), expected / 4, atol=1e-5)
    task.loss(outputs, batch).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert task.loss(outputs, task.collate(rows[:1], encoding())) is None


def test_a_choice_is_predicted_by_the_mean_of_the_windows():
    logits = [{"logits": np.float32([0, np.log(3)])}, {"logits": np.float32([np.log(9), 0])}]
    found = Choose().decode(example(), [{}, {}], logits)
    assert found == {
        "id": "7",
        "label": 0,
        "choice": "a party",
        "scores": pytest.approx([(0.25 + 0.9) / 2, (0.75 + 0.1) / 2]),
        "windows": 2,
    }
    padded = Choose().decode(example(), [{}], [{"logits": np.float32([0, 1, 99])}])
    assert padded["label"] == 1 and len(padded["scores"]) == 2
    json.dumps(found, allow_nan=False)


def test_scores():
    predictions = [{"label": 0}, {"label": 1}, {"label": 1}]
    assert Choose().score([example(label=label) for label in (0, 0, 1)], predictions) == {"accuracy": 2 / 3}
    with pytest.raises(ValueError, match="file:7: there is no label"):
        Choose().score([example(label=None)], predictions[:1])
