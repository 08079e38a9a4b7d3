"""SQuAD's layout, its faults, and both development sets where the data is there."""

import json
import os
from pathlib import Path

import pytest

from longspan.tasks.examples import BadRow, DataError, Source
from longspan.tasks.layouts.squad import find_answer, read_squad

DATA = Path(os.environ.get("LONGSPAN_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "squad"
needs_squad = pytest.mark.skipif(
    not (DATA / "dev-v2.0.rebuilt.json.xz").is_file(), reason=f"no SQuAD in {DATA}; set LONGSPAN_DATA"
)


def question(text="Who?", answers=(("Ada", 0),), **more):
    return {"id": "q", "question": text, "answers": [{"text": t, "answer_start": s} for t, s in answers], **more}


def write(folder, *paragraphs):
    """A file with one article; a paragraph is (context, questions)."""
    path = folder / "squad.json"
    article = {"title": "T", "paragraphs": [{"context": c, "qas": qas} for c, qas in paragraphs]}
    path.write_text(json.dumps({"version": "1.1", "data": [article]}), encoding="utf-8")
    return str(path)


def test_questions_with_and_without_an_answer(tmp_path):
    path = write(
        tmp_path,
        (
            "Ada met Bob in Paris.",
            [
                question(answers=(("Ada", 0), ("Ada met Bob", 0))),
                question("When?", (), is_impossible=True, plausible_answers=[{"text": "Bob", "answer_start": 8}]),
                question("Where?", (), id=None),
            ],
        ),
    )
    first, second, third = read_squad(path)
    assert (first.id, first.question, first.context) == ("q", "Who?", "Ada met Bob in Paris.")
    assert first.answers == (("Ada", 0), ("Ada met Bob", 0)) and first.answerable is True
    assert second.answers == () and second.answerable is False
    # a test set: nothing is known
    assert third.answers == () and third.answerable is None and third.id == f"{path}:3"
    assert third.source == Source(path, 3)


def test_whole_articles_move_the_places(tmp_path):
    path = write(
        tmp_path,
        ("Ada is here.", [question()]),
        ("  Bob 😀 met Ada.\r\n", [question(answers=(("Ada", 12),)), question(answers=(("😀", None),))]),
        ("Last.", []),
    )
    examples = list(read_squad(path, whole_articles=True))
    assert len({example.context for example in examples}) == 1
    assert examples[0].context == "Ada is here.\n\n  Bob 😀 met Ada.\r\n\n\nLast."
    assert [example.answers for example in examples] == [(("Ada", 0),), (("Ada", 26),), (("😀", 20),)]
    for example in examples:
        ((text, start),) = example.answers
        assert example.context[start:].startswith(text)


def test_places_are_derived_where_that_is_sure():
    assert find_answer("a b a", "b", None) == find_answer("a b a", "b", -1) == find_answer("a b a", "b", 2) == 2
    for text, start, message in (
        ("b", 1, "'b' does not stand at 1, where its context has ' '"),
        ("b", 99, "does not stand at 99"),
        ("a", None, "has no place and stands in its context more than once"),
        ("c", None, "does not stand in its context"),
        (" ", 1, "blank"),
        ("b", "2", "must be a whole number, got '2'"),
        ("b", True, "must be a whole number, got True"),
    ):
        with pytest.raises(ValueError, match=message):
            find_answer("a b a", text, start)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (question(answers=(("Ada", 3),)), "'Ada' does not stand at 3, where its context has ' me'"),
        (question(""), "'question' is blank"),
        ({"id": 1}, "'question' is missing; there is 'id'"),
        ("Who?", "an object with 'question' is wanted"),
        ({"question": 3}, "'question' must be a text, got 3"),
        ({"question": "Who?", "answers": "Ada"}, "'answers' must be a list"),
        ({"question": "Who?", "answers": ["Ada"]}, "an object with 'text' is wanted"),
        (question(is_impossible=True), "marked as impossible, but has an answer"),
        (question(answers=(), is_impossible=False), "marked as possible, but has no answer"),
    ],
)
def test_a_bad_question_is_named_and_the_others_are_read(tmp_path, bad, message):
    path = write(tmp_path, ("Ada met Bob.", [question(), bad, question()]))
    first, second, third = read_squad(path)
    assert first.answers == third.answers == (("Ada", 0),)
    assert isinstance(second, BadRow)
    assert str(second.error()).startswith(f"{path}:2: ") and message in second.reason


def test_a_bad_article_is_named(tmp_path):
    path = tmp_path / "squad.json"
    good = {"paragraphs": [{"context": "Ada met Bob.", "qas": [question()]}]}
    path.write_text(json.dumps({"data": [{"paragraphs": [{"qas": []}]}, good, 3]}))
    first, second, third = read_squad(str(path))
    assert isinstance(first, BadRow) and "'context' is missing" in first.reason and first.source.line == 1
    assert second.source.line == 2
    assert isinstance(third, BadRow) and third.source.line == 3


@pytest.mark.parametrize("content", ["[]", '{"Data": []}', '{"data": 3}', '"x"'])
def test_another_layout_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"x\.json: not in the layout of SQuAD"):
        list(read_squad(str(path)))


@needs_squad
@pytest.mark.parametrize(("name", "count", "without"), [("dev-v1.1", 10570, 0), ("dev-v2.0", 11873, 5945)])
def test_the_development_sets(name, count, without):
    path = str(DATA / f"{name}.rebuilt.json.xz")
    examples = list(read_squad(path))
    assert len(examples) == count and not any(isinstance(example, BadRow) for example in examples)
    assert sum(example.answerable is False for example in examples) == without
    whole = list(read_squad(path, whole_articles=True))
    assert [example.id for example in whole] == [example.id for example in examples]
    for short, long in zip(examples, whole, strict=True):
        assert [text for text, _ in short.answers] == [text for text, _ in long.answers]
        assert all(long.context.startswith(text, start) for text, start in long.answers)
        assert short.context in long.context
