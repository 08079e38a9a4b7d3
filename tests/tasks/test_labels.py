"""What labels are taken for: the kind of problem, class names and their order, and mixtures that are refused."""

import pytest

from longspan.tasks.examples import DataError, Source, TextExample
from longspan.tasks.labels import as_number, class_numbers, learn_labels, read_label


def learn(labels, problem=None, read=True, file="train"):
    labels = [read_label(label) for label in labels] if read else labels
    return learn_labels(
        (TextExample(str(i), Source(file, i), "text", label=label) for i, label in enumerate(labels, 1)), problem
    )


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("yes", "yes"),
        ("1", "1"),
        (1, 1.0),
        (2.5, 2.5),
        (True, "true"),
        (None, None),
        ("", None),
        ([], ()),
        (["b", "a"], ("b", "a")),
        ([1, 2.0, "x"], ("1", "2", "x")),
    ],
)
def test_labels_of_rows(value, label):
    assert read_label(value) == label


@pytest.mark.parametrize(("value", "label"), [("a; b", ("a", "b")), ("a", ("a",)), ("", ()), (None, None)])
def test_labels_with_a_separator(value, label):
    assert read_label(value, ";") == label


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "this is an object"),
        (float("nan"), "the label is nan"),
        (float("inf"), "the label is inf"),
        ([0, 1, 0], "'0' twice: it must hold class names, not a 0 or 1 for each"),
        ([["a"]], "must hold class names only"),
        (["a", None], "must hold class names only"),
    ],
)
def test_what_is_no_label(value, message):
    with pytest.raises(ValueError, match=message):
        read_label(value)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["pos", "neg", None, "pos"], ("single", ["neg", "pos"])),
        (["10", "9", "2"], ("single", ["2", "9", "10"])),
        ([10, 9, 2.0], ("single", ["2", "9", "10"])),
        ([True, False], ("single", ["false", "true"])),
        (["1", "2a"], ("single", ["1", "2a"])),
        (["nan", "1"], ("single", ["1", "nan"])),
        ([1, "2"], ("single", ["1", "2"])),
        ([1, 2.5], ("regression", [])),
        (["5.000", "3.800"], ("regression", [])),
        ([["b"], ["a", "c"], []], ("multi", ["a", "b", "c"])),
    ],
)
def test_the_problem_is_chosen_from_the_labels(labels, expected):
    assert learn(labels) == expected


@pytest.mark.parametrize(
    "labels", [[1, "good"], ["good", 1], ["good", "2.5", "3"], [2.5, "n/a"], [[1], 1], [["a"], 2.5]]
)
def test_numbers_among_text_are_refused_with_both_places(labels):
    with pytest.raises(
        DataError, match=r"^train:[12]: the label in 'label' is (text|a list), and a number at train:[12]: "
    ):
        learn(labels)


@pytest.mark.parametrize("labels", [["pos", "neg", "pos", ["pos"]], [["a"], "b"], [[], "1"]])
def test_lists_among_text_are_refused_with_both_places(labels):
    """One list made every other row an example of several classes."""
    with pytest.raises(
        DataError, match=r"^train:[14]: the label in 'label' is a list, and text at train:[12]: .* problem is 'multi'"
    ):
        learn(labels)


def test_a_problem_that_is_said_wins():
    assert learn(["pos", "neg", ["pos"]], "multi") == ("multi", ["neg", "pos"])
    assert learn([1, "good", 2.5], "single") == ("single", ["1", "2.5", "good"])
    assert learn([1, 2], "regression") == ("regression", [])
    assert learn(["a", "b"], "multi") == ("multi", ["a", "b"])


def test_labels_from_which_nothing_is_learnt():
    with pytest.raises(DataError, match=r"^train: every row has the same label in 'label', 'a'"):
        learn(["a", "a"])
    with pytest.raises(DataError, match=r"^train: no row has a label in 'label'$"):
        learn([None, None])
    with pytest.raises(DataError, match=r"^train: no row names a class"):
        learn([[], []])
    with pytest.raises(DataError, match="no example to learn from"):
        learn([])


def test_a_wrong_label_column_is_told_with_those_that_are_there(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text,sentiment\na,1\n")
    with pytest.raises(DataError, match=r"no row has a label in 'label'; there are: 'text', 'sentiment'"):
        learn([None], file=str(file))


def test_too_many_classes_are_refused(monkeypatch):
    monkeypatch.setattr("longspan.tasks.labels.CLASS_LIMIT", 10)
    with pytest.raises(DataError, match=r"train:11: more than 10 different labels"):
        learn([f"name {i}" for i in range(20)])
    assert learn([i + 0.5 for i in range(20)]) == ("regression", [])


def test_classes_by_their_places():
    places = {"neg": 0, "pos": 1}
    assert class_numbers("pos", places) == [1]
    assert class_numbers(("pos", "neg"), places) == [1, 0]
    assert class_numbers(3.0, {"3": 5}) == [5]
    assert class_numbers("1", {"LABEL_0": 0, "LABEL_1": 1}) == [1]
    with pytest.raises(ValueError, match="unknown label 'Pos'; the model knows: 'neg', 'pos'"):
        class_numbers("Pos", places)


def test_numbers():
    assert as_number(2.0) == 2.0 and as_number("-2.5e1") == -25.0
    for label in ("high", "nan", "1_0", ("1",)):
        with pytest.raises(ValueError, match="must be a number"):
            as_number(label)
