"""Classes of documents: the mean over windows that cover every token."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from longspan.cli.main import app
from longspan.predict import classify
from longspan.predict.loading import load, write_task_file
from longspan.tasks.registry import make_task
from tests.predict.fakes import WORDS, save_checkpoint

LONG = f"{WORDS} {WORDS} {WORDS}"
NAMES = ["bad", "good", "so so"]
LABELS = {"id2label": dict(enumerate(NAMES)), "label2id": {name: i for i, name in enumerate(NAMES)}}


def checkpoint(folder, **config):
    return save_checkpoint(folder, head="ForSequenceClassification", **config)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load(checkpoint(tmp_path_factory.mktemp("model"), **LABELS), device="cpu")


def logits(loaded, *texts):
    """(windows, labels), by the tokenizer's own windows."""
    encoding = loaded.encoding
    ids = encoding.tokenizer(*texts, add_special_tokens=True)["input_ids"]
    inner, room = ids[1:-1], encoding.max_length - 2
    starts = [0] if len(inner) <= room else [*range(0, len(inner) - room, room - encoding.stride), len(inner) - room]
    rows = [torch.tensor([[ids[0], *inner[s : s + room], ids[-1]]]) for s in starts]
    with torch.inference_mode():
        return torch.cat([loaded.model(input_ids=row).logits for row in rows])


@pytest.mark.parametrize("text", ["a buyer", LONG])
def test_probabilities_are_the_mean_over_windows(loaded, text):
    found = classify(loaded, text)
    expected = logits(loaded, text).softmax(-1).mean(0)
    assert list(found.scores) == NAMES and list(found.scores.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert found.labels == (NAMES[int(expected.argmax())],) and found.value is None
    assert found.windows == len(logits(loaded, text)) and (found.windows > 1) == (text == LONG)


def test_a_model_trained_on_first_windows_reads_all(loaded, tmp_path):
    folder = checkpoint(tmp_path, **LABELS)
    write_task_file(folder, make_task("classify", {"labels": NAMES, "problem": "single", "truncate": True}))
    found = classify(folder, LONG, device="cpu")
    assert found.windows > 1 and found.scores == pytest.approx(classify(loaded, LONG).scores, abs=1e-5)


@pytest.mark.parametrize(
    ("pairs", "texts", "message"),
    [
        (True, ["a buyer"], "the model reads two texts, this is one"),
        (False, ["a buyer", "pays"], "the model reads one text, this is a pair"),
    ],
)
def test_a_model_is_given_as_many_texts_as_it_was_trained_on(tmp_path, pairs, texts, message):
    folder = checkpoint(tmp_path, **LABELS)
    write_task_file(folder, make_task("classify", {"labels": NAMES, "problem": "single", "pairs": pairs}))
    loaded = load(folder, device="cpu")
    with pytest.raises(ValueError, match=message):
        classify(loaded, *texts)
    other = ["a buyer", "pays"] if pairs else ["a buyer"]
    assert classify(loaded, *other).labels
    option = ["--before", "pays"] if not pairs else []
    document = tmp_path / "a.txt"
    document.write_text("a buyer")
    told = CliRunner().invoke(app, ["classify", str(document), "--model", str(folder), *option])
    assert told.exit_code == 1 and message in told.stderr and "--before" in told.stderr


def test_several_classes_and_numbers(tmp_path):
    (tmp_path / "multi").mkdir()
    (tmp_path / "number").mkdir()
    multi = load(checkpoint(tmp_path / "multi", problem_type="multi_label_classification", **LABELS), device="cpu")
    found = classify(multi, LONG)
    expected = logits(multi, LONG).sigmoid().mean(0)
    assert list(found.scores.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert found.labels == tuple(name for name, p in found.scores.items() if p >= 0.5)
    number = load(checkpoint(tmp_path / "number", problem_type="regression", num_labels=1), device="cpu")
    found = classify(number, LONG)
    assert found.value == pytest.approx(float(logits(number, LONG).mean()), abs=1e-5)
    assert found.labels == () and found.scores == {}


def test_labels_without_names_have_those_of_transformers(tmp_path):
    found = classify(checkpoint(tmp_path, num_labels=2), "a buyer", device="cpu")
    assert list(found.scores) == ["LABEL_0", "LABEL_1"]


@pytest.mark.parametrize("order", [("a buyer", LONG), (LONG, "a buyer")])
def test_the_shorter_of_two_texts_stands_in_every_window(loaded, order):
    found = classify(loaded, *order)
    assert found.windows > len(logits(loaded, LONG))
    assert np.isclose(sum(found.scores.values()), 1)
    assert found.scores != pytest.approx(classify(loaded, LONG).scores, abs=1e-4)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (("",), ValueError, "text is blank"),
        (("a", " \n"), ValueError, "text_pair is blank"),
        ((None,), TypeError, "text must be a str, got NoneType"),
        (("a", 1), TypeError, "text_pair must be a str, got int"),
        ((WORDS + " a", LONG), ValueError, "have no room for"),
    ],
)
def test_what_cannot_be_classified_is_said(loaded, texts, error, message):
    with pytest.raises(error, match=message):
        classify(loaded, *texts)
