"""The examples of a run: faults of validation rows are found before the first step."""

import pytest

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
    features = sources.encode(task, sources.read(task, "validation"), encoding, False, skipped)
    if not skip_bad:
        with pytest.raises(DataError, match=r"validation\.jsonl:2: there is no label to validate with"):
            list(features)
        return
    assert len(list(features)) == 1 and skipped.count == 1
    assert [example.label for example in sources.read_validation(task, encoding)] == ["x"]
