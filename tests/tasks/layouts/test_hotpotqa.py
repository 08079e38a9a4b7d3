"""HotpotQA's layout: small files made here, and the published sample where the data is there."""

import json
import os
from pathlib import Path

import pytest

from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.layouts.hotpotqa import read_hotpotqa
from longspan.tasks.layouts.questions import read_questions

DATA = Path(os.environ.get("LONGSPAN_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
SAMPLE = DATA / "hotpotqa-sample100" / "camera_ready_nd8_dev_sample100.json.xz"


def entry(**changes):
    return {
        "_id": "h1",
        "question": "Who wrote it?",
        "answer": "Ada",
        "context": [["Poem", ["Ada read it.", " Ada wrote it."]], ["Ada", ["A poet.", " She is Ada."]]],
        "supporting_facts": [["Poem", 1], ["Ada", 0]],
        **changes,
    }


def write(folder, *entries):
    path = folder / "hotpot.json"
    path.write_text(json.dumps(entries))
    return str(path)


def test_places_are_those_that_support_the_answer(tmp_path):
    (example,) = read_hotpotqa(write(tmp_path, entry()))
    assert example.context == "yes no\n\nPoem\nAda read it. Ada wrote it.\n\nAda\nA poet. She is Ada."
    # in the supporting sentence and in the title of a supporting paragraph
    assert example.answers == (("Ada", 26), ("Ada", 41)) and example.answerable is True
    assert all(example.context.startswith(text, start) for text, start in example.answers)


def test_supporting_sentences_can_stand_first(tmp_path):
    (example,) = read_hotpotqa(write(tmp_path, entry()), support_first=True)
    assert example.context.startswith("yes no\n Ada wrote it.A poet.\n\nPoem\n")
    assert [start for _, start in example.answers] == [8, 48, 63]
    assert all(example.context.startswith(text, start) for text, start in example.answers)


def test_yes_and_no_stand_in_every_context(tmp_path):
    yes, no = read_hotpotqa(write(tmp_path, entry(answer="yes"), entry(answer="no")))
    assert yes.answers == (("yes", 0),) and no.answers == (("no", 4),)


def test_an_answer_without_support(tmp_path):
    elsewhere, nowhere, unknown = read_hotpotqa(
        write(
            tmp_path,
            entry(answer="read it"),
            entry(answer="Bob"),
            entry(answer=None, supporting_facts=None),
        )
    )
    assert elsewhere.answers == (("read it", 17),)
    assert nowhere.answers == (("Bob", None),) and nowhere.answerable is True
    assert unknown.answers == () and unknown.answerable is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": [["Poem"]]}, "'context' must hold pairs of a title and its sentences"),
        ({"context": [["Poem", "text"]]}, "'sentences' must be a list"),
        ({"context": []}, "'context' has no paragraph"),
        ({"supporting_facts": [["Prose", 0]]}, "the supporting paragraph 'Prose' is not in the context"),
        ({"supporting_facts": [["Poem"]]}, "'supporting_facts' must hold pairs"),
        ({"question": None}, "'question' is missing"),
    ],
)
def test_a_bad_question_is_named_and_the_next_is_read(tmp_path, changes, message):
    path = write(tmp_path, entry(**changes), entry())
    bad, good = read_hotpotqa(path)
    assert isinstance(bad, BadRow) and message in bad.reason and str(bad.source) == f"{path}:1"
    assert good.id == "h1"


def apart(**changes):
    return {
        "_id": "h2",
        "question": "Who wrote it?",
        "answer": "Ada",
        "title_a": "Poem",
        "para_a": ["Ada read it.", " Ada wrote it."],
        "title_b": "Ada",
        "para_b": ["A poet."],
        "distractors": [["London", ["Ada was there."], 1.5]],
        "supporting_facts": [[1], [0]],
        **changes,
    }


def test_supporting_paragraphs_can_be_apart(tmp_path):
    first, second = read_hotpotqa(write(tmp_path, apart(), apart(supporting_facts=None, answer=None)))
    assert first.context == second.context
    assert first.context == "yes no\n\nAda\nA poet.\n\nLondon\nAda was there.\n\nPoem\nAda read it. Ada wrote it."
    assert first.answers == (("Ada", 8), ("Ada", 62))
    bad, worse = read_hotpotqa(write(tmp_path, apart(supporting_facts=[[1]]), apart(distractors=[3])))
    assert "'supporting_facts' must hold two lists" in bad.reason
    assert isinstance(worse, BadRow)


@pytest.mark.skipif(not SAMPLE.is_file(), reason=f"no HotpotQA in {DATA}; set LONGSPAN_DATA to the data folder")
def test_the_published_sample():
    examples = list(read_questions(str(SAMPLE)))
    assert len(examples) == 100 and not any(isinstance(example, BadRow) for example in examples)
    placed = [example for example in examples if all(start is not None for _, start in example.answers)]
    assert len(placed) >= 98
    assert all(x.context.startswith(text, start) for x in placed for text, start in x.answers)
    assert sum(example.answers[0][0] in ("yes", "no") for example in examples) == 8
    assert all(len(example.context) > 500 for example in examples)


def test_another_layout_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"data": []}')
    with pytest.raises(DataError, match="not in the layout of HotpotQA"):
        list(read_hotpotqa(str(path)))
