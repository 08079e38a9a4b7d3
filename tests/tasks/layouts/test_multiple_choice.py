"""Rows of multiple choice in three layouts."""

import csv
import json

import pytest

from longspan.tasks.choose import Choose
from longspan.tasks.examples import BadRow, DataError
from tests.models.tokenizer_texts import DATA

SWAG = DATA / "swag-sample" / "swag.csv"
COMMONSENSE = DATA / "commonsenseqa" / "dev_rand_split.jsonl.xz"


def read(folder, rows, layout=None):
    file = folder / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = Choose().read(str(file), layout)
    return [row.reason if isinstance(row, BadRow) else (row.prompt, row.choices, row.label) for row in found]


@pytest.mark.parametrize(("label", "expected"), [(1, 1), ("b", 1), (None, None), ("", None), (0.0, 0)])
def test_our_own_rows(tmp_path, label, expected):
    assert read(tmp_path, [{"prompt": "p", "choices": ["a", "b"], "label": label}]) == [("p", ("a", "b"), expected)]


def test_faults_of_our_own_rows(tmp_path):
    good = {"prompt": "p", "choices": ["a", "b"], "label": 1}
    faults = {
        "the label must be from 0 to 1, this is 2": {"label": 2},
        "the label must be from 0 to 1, this is -1": {"label": -1},
        "the label must be a number, or the text of one of the choices, this is 'c'": {"label": "c"},
        "the label must be the number of a choice, counted from 0, this is True": {"label": True},
        "the label must be the number of a choice, counted from 0, this is 0.5": {"label": 0.5},
        "two choices are wanted at least, there are 1": {"choices": ["b"]},
        "'choices' must be a list of texts, this is text": {"choices": "ab"},
        "'choices' must be text, this is a number": {"choices": ["a", 1]},
        "a choice is empty": {"choices": ["a", " "]},
        "the prompt is empty": {"prompt": ""},
        "'prompt' must be text, this is null": {"prompt": None},
    }
    rows = [good, *(good | fault for fault in faults.values()), {"choices": ["a", "b"]}, good]
    expected = ("p", ("a", "b"), 1)
    assert read(tmp_path, rows) == [expected, *faults, "no column 'prompt'; there are: 'choices'", expected]


def test_swag(tmp_path):
    header = ["video-id", "fold-ind", "startphrase", "sent1", "sent2", "gold-source", *(f"ending{i}" for i in range(4))]
    row = ["v", "1", "They sit. She", "They sit.", "She", "gold", "stands, then goes.", "sings.", "eats.", "sleeps."]
    file = tmp_path / "a.csv"
    for labels in (["2"], []):
        with open(file, "w", newline="") as out:
            csv.writer(out).writerows([["", *header, *["label" for _ in labels]], ["0", *row, *labels]])
        for layout in (None, "swag"):
            (found,) = Choose().read(str(file), layout)
            assert found.prompt == "They sit."
            assert found.choices == ("She stands, then goes.", "She sings.", "She eats.", "She sleeps.")
            assert found.label == (2 if labels else None)
    with pytest.raises(DataError, match="no column 'ending3'"):
        file.write_text("sent1,sent2,ending0,ending1,ending2\na,b,c,d,e\n")
        list(Choose().read(str(file), "swag"))


QUESTION = {"stem": "Which?", "choices": [{"label": "A", "text": "this"}, {"label": "B", "text": "that"}]}
FLAT = {"question": "Which?", "choices": {"label": ["A", "B"], "text": ["this", "that"]}}


@pytest.mark.parametrize("row", [{"question": QUESTION}, FLAT])
def test_commonsenseqa(tmp_path, row):
    for layout in (None, "commonsenseqa"):
        rows = [row | {"answerKey": "B"}, row | {"answerKey": ""}, row | {"answerKey": "E"}]
        assert read(tmp_path, rows, layout) == [
            ("Which?", ("this", "that"), 1),
            ("Which?", ("this", "that"), None),
            "'answerKey' must be one of A, B, this is 'E'",
        ]


def test_faults_of_commonsenseqa(tmp_path):
    rows = [
        {"question": "Which?", "choices": {"label": ["A"], "text": ["this", "that"]}},
        {"question": {"stem": None, "choices": QUESTION["choices"]}},
        {"question": "Which?", "choices": "that"},
        {"question": "Which?"},
    ]
    assert read(tmp_path, rows) == [
        "each of the 'choices' must have a 'label' and a 'text'",
        "'question' must be text, this is null",
        "'choices' must hold 'label' and 'text'",
        "'choices' must hold 'label' and 'text'",
    ]


def test_other_rows_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"a\.jsonl:1: no layout of multiple choice, no column 'prompt', 'choices'; there"
    ):
        read(tmp_path, [{"text": "a"}])


@pytest.mark.skipif(not SWAG.is_file(), reason=f"no {SWAG}; set LONGSPAN_DATA to the data folder")
def test_published_files_are_read_whole():
    swag, commonsense = list(Choose().read(str(SWAG))), list(Choose().read(str(COMMONSENSE)))
    assert [len(swag), len(commonsense)] == [11, 1221]
    assert {len(row.choices) for row in swag} == {4} and {len(row.choices) for row in commonsense} == {5}
    assert all(row.label is not None for row in swag + commonsense)
