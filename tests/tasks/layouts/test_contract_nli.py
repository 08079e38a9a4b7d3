"""ContractNLI's JSON."""

import json

import pytest

from longspan.tasks.classify import Classify
from longspan.tasks.examples import BadRow, DataError
from tests.models.tokenizer_texts import DATA

FOLDER = DATA / "contract-nli"

LABELS = {"nda-2": {"short_description": "s", "hypothesis": "It ends."}, "nda-1": {"hypothesis": "It holds."}}


def document(number, **choices):
    annotations = {f"nda-{key[1:]}": {"choice": choice, "spans": []} for key, choice in choices.items()}
    sets = [{"annotations": annotations}] if choices else []
    return {"id": number, "file_name": "f", "text": f"Contract {number}.", "spans": [], "annotation_sets": sets}


def write(folder, documents, **dumps):
    file = folder / "dev.json"
    file.write_text(json.dumps({"documents": documents, "labels": LABELS}, **dumps))
    return str(file)


@pytest.mark.parametrize("dumps", [{}, {"indent": 2}])
def test_each_hypothesis_is_an_example(tmp_path, dumps):
    file = write(tmp_path, [document(3, n1="Entailment", n2="NotMentioned"), document(9)], **dumps)
    for layout in ("contract-nli", None):
        found = list(Classify().read(file, layout))
        assert [(e.id, e.source.line, e.text, e.text_pair, e.label) for e in found] == [
            ("3/nda-2", 1, "It ends.", "Contract 3.", "NotMentioned"),
            ("3/nda-1", 1, "It holds.", "Contract 3.", "Entailment"),
            ("9/nda-2", 2, "It ends.", "Contract 9.", None),
            ("9/nda-1", 2, "It holds.", "Contract 9.", None),
        ]


def test_faults_stay_in_their_places(tmp_path):
    rows = [document(1, n1="Entailment"), document(2, n1="Perhaps", n2="Contradiction"), {"id": 3}, "a"]
    found = list(Classify().read(write(tmp_path, rows), "contract-nli"))
    reasons = [row.reason if isinstance(row, BadRow) else row.label for row in found]
    assert reasons[:5] == [
        "document 1, hypothesis nda-2: no 'nda-2'",
        "Entailment",
        "Contradiction",
        "document 2, hypothesis nda-1: the choice must be one of "
        "Contradiction, Entailment, NotMentioned, this is 'Perhaps'",
        "document 3, hypothesis nda-2: no 'text'",
    ]
    assert all(isinstance(row, BadRow) for row in found[4:]) and len(found) == 8


@pytest.mark.parametrize("content", [[], {}, {"documents": [], "labels": {"a": {}}}, {"documents": 1, "labels": {}}])
def test_another_document_is_refused(tmp_path, content):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="ContractNLI's layout is an object with 'documents' and 'labels'"):
        list(Classify().read(str(file), "contract-nli"))


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}; set LONGSPAN_DATA to the data folder")
@pytest.mark.parametrize(("name", "size"), [("dev", 61), ("test", 123), ("train_truncated", 50)])
def test_the_published_files_are_read_whole(name, size):
    task = Classify()
    found = list(task.read(str(FOLDER / f"{name}.json.xz")))
    assert not [row for row in found if isinstance(row, BadRow)]
    assert len(found) == size * 17
    task.learn(found)
    assert task.labels == ["Contradiction", "Entailment", "NotMentioned"]
