"""Questions as rows of tables, and how a file's layout is recognised."""

import json

import pytest

from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.layouts.questions import LAYOUTS, guess_layout, read_questions

CONTEXT = "Ada met Bob. Ada left."


def read(folder, *rows):
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"question": "Who?", "context": CONTEXT, **row}) for row in rows))
    return list(read_questions(str(path)))


@pytest.mark.parametrize(
    ("row", "answers", "answerable"),
    [
        ({"answers": [{"text": "Bob", "start": 8}]}, (("Bob", 8),), True),
        ({"answers": [{"text": "Ada", "answer_start": 13}, "bob"]}, (("Ada", 13), ("Bob", 8)), True),
        ({"answers": {"text": ["Ada"], "answer_start": [13]}}, (("Ada", 13),), True),
        ({"answers": {"text": [], "answer_start": []}}, (), False),
        ({"answers": ["Ada"]}, (("Ada", 0), ("Ada", 13)), True),
        ({"answers": []}, (), False),
        ({"answer": "Ada", "answer_start": 0}, (("Ada", 0),), True),
        ({"answer": ""}, (), False),
        ({"answers": None}, (), None),
        ({}, (), None),
    ],
)
def test_answers(tmp_path, row, answers, answerable):
    (example,) = read(tmp_path, row)
    assert (example.answers, example.answerable) == (answers, answerable)
    assert all(example.context.startswith(text, start) for text, start in example.answers)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answers": [{"text": "Ada", "start": 1}]}, "'Ada' does not stand at 1"),
        ({"answers": ["Eve"]}, "'Eve' does not stand in its context"),
        ({"answers": [{"text": ""}]}, "'text' is blank"),
        ({"answers": [{"text": "Ada", "start": 1.5}]}, "must be a whole number, got 1.5"),
        ({"answers": [3]}, "an object with 'text' is wanted, got 3"),
        ({"answers": "Ada"}, "one text alone is named 'answer'"),
        ({"answers": {"text": ["Ada"], "answer_start": []}}, "'answer_start' must be a list of 1 places"),
        ({"answer": 3}, "'answer' must be a text, got 3"),
        ({"context": " "}, "'context' is blank"),
        ({"question": 5}, "'question' must be a text, got 5"),
    ],
)
def test_a_bad_row_is_named_and_the_next_is_read(tmp_path, row, message):
    bad, good = read(tmp_path, row, {"id": 7})
    assert isinstance(bad, BadRow) and message in bad.reason and bad.source.line == 1
    assert good.id == "7"


def test_csv_has_texts_only(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        f"question,context,answer,answer_start\nWho?,{CONTEXT},Ada,13\nWho?,{CONTEXT},,\nWho?,{CONTEXT},Bob,\n"
    )
    first, second, third = read_questions(str(path))
    assert first.answers == (("Ada", 13),) and second.answerable is False and third.answers == (("Bob", 8),)
    path.write_text(f"question,context,answer,answer_start\nWho?,{CONTEXT},Ada,x\n")
    (bad,) = read_questions(str(path))
    assert "must be a whole number, got 'x'" in bad.reason


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("question,text\nWho?,Ada\n")
    with pytest.raises(DataError, match="no column 'context'"):
        list(read_questions(str(path)))


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        ({"data": []}, "squad"),
        ({"Data": []}, "triviaqa"),
        ([{"_id": 1, "context": []}], "hotpotqa"),
        ([{"_id": 1, "para_a": []}], "hotpotqa"),
        ([{"question": "", "context": ""}], "table"),
        ([], "table"),
        (3, "table"),
    ],
)
def test_the_layout_is_recognised(tmp_path, content, layout):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    assert guess_layout(str(path)) == layout and layout in LAYOUTS


def test_json_lines_and_tables_are_rows(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert guess_layout(str(path)) == guess_layout("x.csv") == guess_layout("folder") == "table"


def test_layouts_that_are_not_there(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[{"candidates": [], "supports": []}]')
    with pytest.raises(DataError, match="the task 'wikihop' reads"):
        list(read_questions(str(path)))
    with pytest.raises(
        DataError, match="there is no layout 'sqad' of questions; there are table, squad, squad-articles"
    ):
        list(read_questions(str(path), "sqad"))
