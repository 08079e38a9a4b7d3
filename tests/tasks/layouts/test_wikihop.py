"""WikiHop's layout: small files made here, and the published sample where the data is there."""

import json
import os
from pathlib import Path

import pytest

from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.layouts.wikihop import read_wikihop

DATA = Path(os.environ.get("LONGSPAN_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
SAMPLE = DATA / "wikihop-sample" / "qangaroo.json"


def entry(**changes):
    return {
        "id": "w1",
        "query": "country_of_citizenship ada",
        "candidates": ["france", "england"],
        "supports": ["Ada lived in London.", " ", "London is in England."],
        "answer": "england",
        **changes,
    }


def write(folder, *entries):
    path = folder / "wikihop.json"
    path.write_text(json.dumps(entries))
    return str(path)


def test_questions(tmp_path):
    first, second = read_wikihop(write(tmp_path, entry(annotations=[]), entry(answer=None, supports=[])))
    assert (first.id, first.prompt, first.choices) == ("w1", "country of citizenship ada", ("france", "england"))
    assert first.label == 1 and first.supports == ("Ada lived in London.", "London is in England.")
    assert second.label is None and second.supports == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": "spain"}, "the answer 'spain' is none of the 2 candidates"),
        ({"candidates": []}, "'candidates' must hold texts"),
        ({"candidates": ["a", " "]}, "none of them blank"),
        ({"candidates": ["a", 1]}, "'candidates' must be a list of texts, it holds 1"),
        ({"supports": "text"}, "'supports' must be a list"),
        ({"query": " "}, "'query' is blank"),
    ],
)
def test_a_bad_question_is_named_and_the_next_is_read(tmp_path, changes, message):
    path = write(tmp_path, entry(**changes), entry())
    bad, good = read_wikihop(path)
    assert isinstance(bad, BadRow) and message in bad.reason and str(bad.source) == f"{path}:1"
    assert good.id == "w1"


@pytest.mark.parametrize("content", ["{}", "[]"])
def test_another_layout_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match="not in the layout of WikiHop"):
        list(read_wikihop(str(path)))


@pytest.mark.skipif(not SAMPLE.is_file(), reason=f"no WikiHop in {DATA}; set LONGSPAN_DATA to the data folder")
def test_the_published_sample():
    examples = list(read_wikihop(str(SAMPLE)))
    assert [example.id for example in examples] == ["WH_dev_0", "WH_dev_1"]
    assert all(example.choices[example.label] for example in examples)
    assert len(examples[0].choices) == 18 and examples[1].choices[examples[1].label] == "democratic party"
