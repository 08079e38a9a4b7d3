"""TriviaQA's layout: small files made here, and the published samples where the data is there."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from longspan.tasks.answer import Answer
from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.layouts.triviaqa import read_triviaqa

DATA = Path(os.environ.get("LONGSPAN_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "triviaqa-sample"
needs_sample = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no TriviaQA in {DATA.parent}; set LONGSPAN_DATA to the data folder"
)
ANSWER = {"Aliases": ["Sunset Blvd.", "Sunset Boulevard"], "NormalizedAliases": ["sunset blvd", "sunset boulevard"]}


def entry(**changes):
    return {
        "QuestionId": "tc_1",
        "Question": "Which musical?",
        "Answer": ANSWER,
        "EntityPages": [{"Filename": "A.txt"}, {"Filename": "B.txt"}],
        "SearchResults": [{"Filename": "1/2.txt"}],
        **changes,
    }


@pytest.fixture
def write(tmp_path):
    pages = {
        "wikipedia/A.txt": "Sunset Blvd. is by him.",
        "wikipedia/B.txt": "Nothing is here.\r\n",
        "web/1/2.txt": "It was SUNSET BOULEVARD, 😀 sunset blvd!",
    }
    for name, text in pages.items():
        file = tmp_path / "evidence" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())

    def write(*entries, domain="Web"):
        path = tmp_path / "qa" / "dev.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"Domain": domain, "Data": entries}))
        return str(path)

    return write


def marked(example):
    assert all(example.context.startswith(text, start) for text, start in example.answers)
    return [text for text, _ in example.answers]


def test_web_has_an_example_for_each_document(write):
    first, second, third = read_triviaqa(write(entry()))
    assert [x.id for x in (first, second, third)] == ["tc_1--A.txt", "tc_1--B.txt", "tc_1--1/2.txt"]
    assert marked(first) == ["Sunset Blvd."] and first.answerable is True
    assert second.answers == (("sunset blvd", None), ("sunset boulevard", None)) and second.answerable is True
    assert marked(third) == ["SUNSET BOULEVARD", "sunset blvd"]
    assert first.aliases == ("sunset blvd", "sunset boulevard")
    assert third.context == "It was SUNSET BOULEVARD, 😀 sunset blvd!"


def test_wikipedia_has_one_for_each_question(write):
    (example,) = read_triviaqa(write(entry(SearchResults=[]), domain="Wikipedia"))
    assert example.id == "tc_1" and marked(example) == ["Sunset Blvd."]
    assert example.context == "Sunset Blvd. is by him.\n\nNothing is here.\r\n"


def test_people_can_name_more(write):
    example = next(read_triviaqa(write(entry(Answer={"Aliases": ["X"], "HumanAnswers": ["by him"]}))))
    assert example.aliases == ("X", "by him") and marked(example) == ["by him"]


def test_a_test_set_has_no_aliases(write):
    example = next(read_triviaqa(write(entry(Answer=None))))
    assert example.aliases == example.answers == () and example.answerable is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"EntityPages": [{"Filename": "C.txt"}]}, "the document 'C.txt' cannot be read"),
        ({"EntityPages": [], "SearchResults": []}, "the question has no document"),
        ({"EntityPages": [{}]}, "'Filename' is missing"),
        ({"Answer": {"Aliases": []}}, "the answer has no alias"),
        ({"Answer": {"Aliases": [1]}}, "'Aliases' must be a list of texts, it holds 1"),
        ({"Question": None}, "'Question' is missing"),
    ],
)
def test_a_bad_question_is_named_and_the_next_is_read(write, changes, message):
    path = write(entry(**changes), entry(SearchResults=[]))
    bad, *others = read_triviaqa(path)
    assert isinstance(bad, BadRow) and message in bad.reason and str(bad.source) == f"{path}:1"
    assert len(others) == 2


def test_the_documents_have_to_be_there(tmp_path, write):
    path = write(entry())
    (example, *_) = read_triviaqa(path, str(tmp_path / "evidence"))
    assert example.id == "tc_1--A.txt"
    (tmp_path / "evidence").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no folder with the documents"):
        list(read_triviaqa(path))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triviaqa")
    with tarfile.open(DATA / "triviaqa-sample.tgz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@needs_sample
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("web-dev", 5),
        ("web-train", 7),
        ("wikipedia-dev", ["tc_33", "tc_40"]),
        ("wikipedia-train", ["tc_3", "tc_8", "tc_9", "tc_10"]),
    ],
)
def test_the_published_samples(sample, name, keys):
    examples = list(Answer().read(str(sample / "qa" / f"{name}.json")))
    assert not any(isinstance(example, BadRow) for example in examples)
    found = [example.id for example in examples]
    assert found == keys if isinstance(keys, list) else len(set(found)) == keys
    # documents were chosen because they hold the answer
    assert all(marked(example) for example in examples)


@needs_sample
def test_the_published_prediction_is_right(sample):
    (sample / "qa" / "sample.json").write_bytes((DATA / "triviaqa_sample.json").read_bytes())
    examples = list(read_triviaqa(str(sample / "qa" / "sample.json")))
    predictions = json.loads((DATA / "sample_predictions.json").read_text())
    (first,) = (example for example in examples if example.id in predictions)
    made = [{"id": first.id, "answer": predictions[first.id]}]
    assert Answer().score([first], made) == {"exact": 100.0, "f1": 100.0}
    made = [{"id": example.id, "answer": predictions.get(example.id, "")} for example in examples]
    assert Answer().score(examples, made)["exact"] == 100.0 / len(examples)


def test_another_layout_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"data": []}')
    with pytest.raises(DataError, match="not in the layout of TriviaQA"):
        list(read_triviaqa(str(path)))
