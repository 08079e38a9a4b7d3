"""The examples of a run: faults of validation rows are found before the first step."""

import json
import random

import pytest

from longspan.tasks.answer import Answer
from longspan.tasks.classify import Classify
from longspan.tasks.examples import DataError
from longspan.tasks.task import Encoding
from longspan.train.sources import Skipped, Sources
from tests.tasks.small_tokenizers import KINDS


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_validation_row_without_a_label_is_a_bad_row(tmp_path, skip_bad):
    train, validation = tmp_path / "train.jsonl", tmp_path / "validation.jsonl"
    train.write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n')
    validation.write_text('{"text": "a", "label": "x"}\n{"text": "b"}\n')
    sources = Sources(str(train), str(validation), None, skip_bad, 0.0, 0)
    task, encoding, skipped = Classify(labels=["x", "y"]), Encoding(KINDS["WordPiece"](), 20, 4), Skipped()
    if not skip_bad:
        with pytest.raises(DataError, match=r"validation\.jsonl:2: there is no label to validate with"):
            sources.check_validation(task, encoding, skipped)
        return
    assert sources.check_validation(task, encoding, skipped) == 1 and skipped.count == 1
    assert [example.label for example in sources.validation_examples(task)] == ["x"]


def contracts(folder):
    hypotheses = {f"nda-{i}": {"hypothesis": f"Hypothesis {i}."} for i in range(5)}
    annotations = {key: {"choice": "Entailment"} for key in hypotheses}
    texts = [{"id": i, "text": f"Contract {i}.", "annotation_sets": [{"annotations": annotations}]} for i in range(20)]
    (folder / "data.json").write_text(json.dumps({"documents": texts, "labels": hypotheses}))
    return Classify(), lambda example: example.text_pair


def questions(folder):
    rows = [{"question": f"What {i}?", "context": f"Paragraph {i % 20}.", "answer": "Paragraph"} for i in range(100)]
    (folder / "data.json").write_text("\n".join(map(json.dumps, rows)))
    return Answer(), lambda example: example.context


@pytest.mark.parametrize("make", [contracts, questions])
def test_a_document_is_on_one_side_with_all_its_examples(tmp_path, make):
    task, document = make(tmp_path)
    sources = Sources(str(tmp_path / "data.json"), None, None, False, 0.25, 0)
    train, validation = ([document(row) for row in sources.read(task, part)] for part in ("train", "validation"))
    assert len(train) == 75 and len(validation) == 25 and not {*train} & {*validation}


def test_a_bad_row_of_a_file_with_both_parts_is_counted_once(tmp_path):
    data = tmp_path / "data.jsonl"
    rows = [f'{{"text": "a", "label": "{"xy"[i % 2]}"}}' for i in range(40)]
    rows[3], rows[20], rows[25] = "{", '{"text": "a", "label": "z"}', "{}"
    data.write_text("\n".join(rows))
    sources = Sources(str(data), None, None, True, 0.3, 0)
    task, encoding, skipped = Classify(labels=["x", "y"]), Encoding(KINDS["WordPiece"](), 20, 4), Skipped()
    for _ in sources.encode(task, sources.read(task, "train", skipped), encoding, skipped):
        pass
    sources.check_validation(task, encoding, skipped)
    assert skipped.count == len(skipped.named) == 3
    assert sorted(int(fault.split(":")[1]) for fault in skipped.named) == [4, 21, 26]


def test_a_share_that_leaves_nothing_is_an_error(tmp_path):
    train = tmp_path / "train.jsonl"
    train.write_text('{"text": "a", "label": "x"}\n')
    sources = Sources(str(train), None, None, False, 1e-6, 0)
    with pytest.raises(DataError, match="a holdout of 1e-06 leaves no example for validation"):
        sources.check_validation(Classify(labels=["x", "y"]), Encoding(KINDS["WordPiece"](), 20, 4))


@pytest.mark.parametrize("by_class", [True, False])
def test_the_parts_are_one_draw_in_every_pass(tmp_path, by_class):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(f'{{"id": {i}, "text": "a", "label": "{"xy"[i % 5 == 0]}"}}\n' for i in range(200)))
    sources = Sources(str(data), None, None, False, 0.1, 3, by_class)
    train, validation, again = (
        [example.id for example in sources.read(Classify(), part)] for part in ("train", "validation", "validation")
    )
    assert sorted(train + validation, key=int) == [str(i) for i in range(200)] and validation == again
    rare = sum(int(id) % 5 == 0 for id in validation)
    if by_class:
        assert (rare, len(validation)) == (4, 20)
    else:
        # the draw of runs that were begun before there were classes
        draw = random.Random("holdout 3").random
        assert validation == [str(i) for i in range(200) if draw() < 0.1]
