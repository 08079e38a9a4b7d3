"""The task classify from files to scores: columns, layouts, labels, windows, batches, predictions."""

import json

import numpy as np
import pytest
import torch

from longspan.tasks.classify import Classify
from longspan.tasks.examples import BadRow, DataError, Source, TextExample
from longspan.tasks.registry import make_task
from longspan.tasks.task import Encoding
from tests.tasks.small_tokenizers import KINDS, SENTENCES

LONG = " ".join(SENTENCES)


def write(folder, rows, name="a.jsonl"):
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def example(label=None, text="a text", pair=None):
    return TextExample("7", Source("file", 7), text, pair, label)


def encoding(max_length=None, stride=4, kind="WordPiece", family="longformer"):
    return Encoding(KINDS[kind](), max_length, stride, family)


def test_rows_become_examples(tmp_path):
    rows = [{"text": "one", "label": "b", "id": "x1"}, {"text": "two"}, {"text": "three", "label": None, "id": 5}]
    file = write(tmp_path, rows)
    assert list(Classify().read(file)) == [
        TextExample("x1", Source(file, 1), "one", None, "b"),
        TextExample(f"{file}:2", Source(file, 2), "two"),
        TextExample("5", Source(file, 3), "three"),
    ]


def test_columns_have_names(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("q,d,y\nwhat,doc,1;2\nwhat,doc,\n")
    task = Classify(text="q", text_pair="d", label="y", separator=";")
    first, second = task.read(str(file))
    assert (first.text, first.text_pair, first.label, second.label) == ("what", "doc", ("1", "2"), ())
    with pytest.raises(DataError, match="no column 'text'; there are: 'q', 'd', 'y'"):
        list(Classify().read(str(file)))
    with pytest.raises(DataError, match="no column 'pair'"):
        list(Classify(text="q", text_pair="pair").read(str(file)))


def test_faults_of_rows_are_told(tmp_path):
    rows = [{"text": 5}, {"text": None}, {"text": " \n"}, {"text": "a", "label": {}}, {"txt": "a"}, {"text": ["a"]}]
    found = list(Classify().read(write(tmp_path, rows)))
    assert [(row.source.line, row.reason) for row in found] == [
        (1, "'text' must be text, this is a number"),
        (2, "'text' must be text, this is null"),
        (3, "the text is empty"),
        (4, "a label must be text, a number or a list of class names, this is an object"),
        (5, "no column 'text'; there are: 'txt'"),
        (6, "'text' must be text, this is a list"),
    ]
    (bad,) = Classify(text_pair="b").read(write(tmp_path, [{"text": "a", "b": ""}]))
    assert bad.reason == "the second text is empty"


def test_layouts_are_known_by_name_or_refused(tmp_path):
    file = write(tmp_path, [{"text": "a", "label": "x"}])
    with pytest.raises(
        DataError, match=r"unknown layout 'glue'; classify knows table, cola, mrpc, .*hyperpartisan, imdb"
    ):
        list(Classify().read(file, "glue"))
    assert len(list(Classify().read(file, "table"))) == 1


def test_layouts_are_recognised(tmp_path):
    files = {
        "a.tsv": "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n",
        "b.tsv": "gj04\t1\t\tA sentence.\n",
        "c.tsv": "text\tlabel\na\tentailment\n",
        "articles-x.xml": '<articles><article id="1" title="a"/></articles>',
        "d.json": json.dumps(
            {"documents": [{"id": 1, "text": "a"}], "labels": {"nda-1": {"hypothesis": "b"}}}, indent=1
        ),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = {name: next(iter(Classify().read(str(tmp_path / name)))) for name in files}
    assert found["a.tsv"].text_pair == "b" and found["a.tsv"].id == "0"
    assert found["b.tsv"].text == "A sentence."
    assert found["c.tsv"].label == "entailment"
    assert found["articles-x.xml"].text == "a"
    assert found["d.json"].id == "1/nda-1"
    # who names a column means a table
    assert next(iter(Classify(text="sentence2").read(str(tmp_path / "a.tsv")))).text == "b"


def learnt(labels, **options):
    task = Classify(**options)
    task.learn([example(label) for label in labels])
    return task


def test_classes_are_learnt_and_go_into_the_configuration():
    task = learnt(["pos", "neg"])
    assert task.settings() == {
        "problem_type": "single_label_classification",
        "id2label": {0: "neg", 1: "pos"},
        "label2id": {"neg": 0, "pos": 1},
    }
    assert task.metric == "accuracy"
    assert learnt([("a",), ("b",)]).settings()["problem_type"] == "multi_label_classification"
    regression = learnt([1.0, 2.5])
    assert regression.settings()["problem_type"] == "regression"
    assert len(regression.settings()["id2label"]) == 1
    assert regression.metric == "pearson"


def test_a_model_of_pairs_refuses_one_text_and_the_other_way_round():
    alone, pair = example("a"), example("a", pair="behind it")
    for known, other, told in ((alone, pair, "one text, this is a pair"), (pair, alone, "two texts, this is one")):
        task = Classify()
        task.learn([known, example("b", pair=known.text_pair)])
        again = make_task("classify", json.loads(json.dumps(task.options())))
        for training in (True, False):
            assert again.encode(other, encoding(), training).reason == f"the model reads {told}"
            assert isinstance(again.encode(known, encoding(), training), list)
    # an older checkpoint does not say
    assert all(isinstance(Classify(labels=["a", "b"]).encode(e, encoding(), False), list) for e in (alone, pair))


def test_options_make_the_task_again():
    task = learnt(["b", "a"], text="t", text_pair="p", label="l", metric="f1", truncate=True, global_text=True)
    again = make_task("classify", json.loads(json.dumps(task.options())))
    assert again.options() == task.options()
    assert again.settings() == task.settings()
    assert again.metric == "f1"
    regression = make_task("classify", learnt([0.5, 1.0], metric="mse").options())
    assert (regression.problem, regression.greater_is_better) == ("regression", False)


def test_what_a_configuration_says_makes_the_task():
    names = ["LABEL_0", "LABEL_1"]
    assert Classify(labels=names, problem=None).problem == "single"
    assert Classify(labels=names, problem="multi_label_classification").problem == "multi"
    assert Classify(labels=names[:1], problem=None).problem == "regression"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problem": "ranking"}, "problem must be one of single, multi, regression, got 'ranking'"),
        (
            {"problem": "single", "metric": "pearson"},
            "metric of a single problem must be one of accuracy, f1, .*got 'pearson'",
        ),
        ({"metric": "bleu"}, "metric of the task classify must be one of"),
        ({"labels": ["a", "a"]}, "labels must be different"),
        ({"labels": ["a", "b", "c"], "metric": "f1"}, "f1 is that of the second of two classes, there are 3"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Classify(**options)


@pytest.mark.parametrize(
    ("task", "label", "reason"),
    [
        (Classify(labels=["a", "b"]), "c", "unknown label 'c'; the model knows: 'a', 'b'"),
        (Classify(labels=["a", "b"]), ("a",), "one label is wanted, this is a list of 1"),
        (Classify(labels=["a", "b"], problem="multi"), ("a", "x"), "unknown label 'x'"),
        (Classify(problem="regression"), "high", "must be a number, this is 'high'"),
    ],
)
def test_a_label_that_fits_nothing_is_a_bad_row(task, label, reason):
    for training in (True, False):
        found = task.encode(example(label), encoding(), training)
        assert isinstance(found, BadRow) and reason in found.reason and found.source.line == 7


def test_without_a_label_a_row_is_only_bad_in_training():
    task = Classify(labels=["a", "b"])
    assert task.encode(example(), encoding(), True).reason == "there is no label in 'label'"
    (features,) = task.encode(example(), encoding(), False)
    assert "labels" not in features
    assert "labels" not in task.collate([features], encoding())


@pytest.mark.parametrize("kind", KINDS)
def test_long_documents_are_read_in_windows_that_cover_them(kind):
    task = Classify(labels=["a", "b"])
    enc = encoding(40, 7, kind)
    whole = enc.tokenizer(LONG)["input_ids"]
    windows = task.encode(example("b", LONG), enc, training=False)
    assert len(windows) > 2 and all(len(w["input_ids"]) <= 40 and w["labels"] == 1 for w in windows)
    assert all((w["input_ids"][0], w["input_ids"][-1]) == (whole[0], whole[-1]) for w in windows)
    joined = windows[0]["input_ids"][1:-1]
    for window in windows[1:]:
        inner = window["input_ids"][1:-1]
        overlap = next(k for k in range(len(inner), 6, -1) if joined[-k:] == inner[:k])
        joined += inner[overlap:]
    assert joined == whole[1:-1]
    (first,) = Classify(labels=["a", "b"], truncate=True).encode(example("b", LONG), enc, training=False)
    assert first == windows[0]


@pytest.mark.parametrize("swapped", [False, True])
def test_of_a_pair_the_longer_text_is_cut(swapped):
    texts = (LONG, SENTENCES[0])[:: -1 if swapped else 1]
    short = encoding().tokenizer(SENTENCES[0], add_special_tokens=False)["input_ids"]
    enc = encoding(len(short) + 30)
    windows = Classify(labels=["a", "b"]).encode(example("a", *texts), enc, training=True)
    assert len(windows) > 1
    for w in windows:
        ids = w["input_ids"]
        assert (ids[1 : 1 + len(short)] if swapped else ids[-1 - len(short) : -1]) == short


def test_a_pair_that_leaves_no_room_is_a_bad_row():
    found = Classify(labels=["a", "b"]).encode(example("a", LONG, LONG), encoding(60), training=True)
    assert "have no room for" in found.reason


def test_the_first_text_can_be_global():
    task = Classify(labels=["a", "b"], global_text=True)
    short = len(encoding().tokenizer(SENTENCES[0], add_special_tokens=False)["input_ids"])
    enc = encoding(short + 30)
    for window in task.encode(example("a", SENTENCES[0], LONG), enc, training=True):
        mask = window["global_attention_mask"]
        assert mask == [1] * (1 + short) + [0] * (len(window["input_ids"]) - 1 - short)
    for other in (example("a", LONG), example("a", SENTENCES[0], LONG)):
        family = "longformer" if other.text_pair is None else "nystromformer"
        for window in task.encode(other, encoding(short + 30, family=family), training=True):
            assert "global_attention_mask" not in window


@pytest.mark.parametrize(
    ("options", "labels", "expected"),
    [
        ({"labels": ["a", "b", "c"]}, ["c", "a"], torch.tensor([2, 0])),
        ({"labels": ["a", "b", "c"], "problem": "multi"}, [("c", "a"), ()], torch.tensor([[1.0, 0, 1], [0, 0, 0]])),
        ({"problem": "regression"}, [1.5, "-2"], torch.tensor([1.5, -2.0])),
    ],
)
def test_batches(options, labels, expected):
    task = Classify(**options)
    texts = SENTENCES[:2]
    features = [
        task.encode(example(label, text), encoding(), True)[0] | {"row": 3, "epoch": 0}
        for label, text in zip(labels, texts, strict=True)
    ]
    batch = task.collate(features, encoding())
    assert batch["labels"].equal(expected) and batch["labels"].dtype == expected.dtype
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert task.count_targets(batch) == expected.numel()
    plain = encoding().tokenizer(texts, padding=True, return_tensors="pt")
    assert batch["input_ids"].equal(plain["input_ids"])


def test_a_class_is_predicted_by_the_mean_of_the_windows():
    task = Classify(labels=["a", "b"])
    one = task.decode(example(), [{}], [{"logits": np.float32([0.0, np.log(3)])}])
    assert one == {"id": "7", "label": "b", "scores": pytest.approx({"a": 0.25, "b": 0.75})}
    logits = [{"logits": np.float32([0.0, np.log(3)])}, {"logits": np.float32([np.log(9), 0.0])}]
    two = task.decode(example(), [{}, {}], logits)
    assert two["label"] == "a" and two["windows"] == 2
    assert two["scores"] == pytest.approx({"a": (0.25 + 0.9) / 2, "b": (0.75 + 0.1) / 2})


def test_several_classes_and_numbers_are_predicted():
    multi = Classify(labels=["a", "b"], problem="multi")
    found = multi.decode(example(), [{}], [{"logits": np.float32([np.log(3), -np.log(3)])}])
    assert found == {"id": "7", "label": ["a"], "scores": pytest.approx({"a": 0.75, "b": 0.25})}
    number = Classify(problem="regression").decode(example(), [{}] * 2, [{"logits": np.float32([x])} for x in (1, 2)])
    assert number == {"id": "7", "label": 1.5, "windows": 2}
    huge = multi.decode(example(), [{}], [{"logits": np.float32([1e4, -1e4])}])
    assert huge["scores"] == {"a": 1.0, "b": 0.0}
    json.dumps([found, number, huge], allow_nan=False)


def test_scores():
    task = Classify(labels=["a", "b"])
    predictions = [{"label": "b"}, {"label": "b"}, {"label": "a"}, {"label": "a"}]
    gold = [example(label) for label in ("b", "a", "a", "a")]
    assert task.score(gold, predictions)["accuracy"] == 0.75
    assert task.score(gold, predictions)["f1"] == pytest.approx(2 / 3)
    multi = Classify(labels=["a", "b"], problem="multi")
    assert multi.score([example(("a",)), example(())], [{"label": ["a"]}, {"label": ["b"]}])["accuracy"] == 0.5
    number = Classify(problem="regression")
    assert number.score([example(1.0), example("2")], [{"label": 1.0}, {"label": 3.0}])["mse"] == 0.5
    assert task.metric in task.score(gold, predictions)
    with pytest.raises(ValueError, match="file:7: there is no label to compare with"):
        task.score([example()], [{"label": "a"}])


def test_numbers_are_standardised_by_the_training_data():
    """A new head says about 0: that has to be the mean, not far below every number."""
    task = Classify()
    task.learn([example(label) for label in (0.5, 2.0, 3.5)])
    mean, deviation = task.moments
    assert (mean, deviation) == (2.0, pytest.approx(np.sqrt(1.5)))
    targets = [task.encode(example(label), encoding(), True)[0]["labels"] for label in (0.5, 2.0, 3.5)]
    assert targets == pytest.approx([-1.5 / deviation, 0, 1.5 / deviation])
    made = json.loads(json.dumps(task.options()))
    again = make_task("classify", made)
    for target, label in zip(targets, (0.5, 2.0, 3.5), strict=True):
        said = again.decode(example(), [{}] * 2, [{"logits": np.float32([target])}] * 2)["label"]
        assert said == pytest.approx(label, abs=1e-6)
    # a checkpoint's own moments stay
    again.learn([example(label) for label in (100.5, 200.0)])
    assert again.moments == task.moments


@pytest.mark.parametrize("moments", [[1.0], [0.0, 0.0], [0.0, -1.0], [1.0, 2.0, 3.0]])
def test_moments_that_cannot_be(moments):
    with pytest.raises(ValueError, match="moments must be a mean and a standard deviation above 0"):
        Classify(problem="regression", moments=moments)


@pytest.mark.parametrize(
    ("label", "stratum"), [("a", "a"), (1.0, "1"), ("1", "1"), (2.5, "2.5"), (("a", "b"), None), (None, None)]
)
def test_the_class_of_an_example(label, stratum):
    assert Classify().stratum(example(label)) == stratum
