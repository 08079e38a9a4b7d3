"""IMDb as JSON lines and as its folders."""

import json
from itertools import islice

import pytest

from longspan.tasks.classify import Classify
from longspan.tasks.examples import BadRow, DataError
from tests.models.tokenizer_texts import DATA

FOLDER = DATA / "imdb"


def test_json_lines(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps({"id": 0, "label": "neg", "rating": 3, "text": "Dull."}) + "\n")
    for layout in (None, "imdb"):
        (found,) = Classify().read(str(file), layout)
        assert (found.id, found.text, found.label) == ("0", "Dull.", "neg")


def test_folders(tmp_path):
    for label, name, data in (("pos", "2_9", b"Fine."), ("neg", "0_3", b"Dull."), ("neg", "1_1", b"na\xefve")):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{name}.txt").write_bytes(data)
    for layout in (None, "imdb"):
        first, bad, last = Classify().read(str(tmp_path), layout)
        assert (first.id, first.text, first.label) == ("neg/0_3", "Dull.", "neg")
        assert isinstance(bad, BadRow)
        assert (
            bad.error().args[0]
            == f"{tmp_path}/neg/1_1.txt: line 1: byte 3 of the line, 0xef, is not UTF-8: invalid continuation byte"
        )
        assert (last.id, last.label) == ("pos/2_9", "pos")


def test_a_folder_without_reviews_is_refused(tmp_path):
    with pytest.raises(DataError, match="no review in the folders pos and neg"):
        list(Classify().read(str(tmp_path), "imdb"))


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}; set LONGSPAN_DATA to the data folder")
def test_the_published_rows_are_read():
    rows = list(islice(Classify().read(str(FOLDER / "test.jsonl.xz")), 1000))
    assert {row.label for row in rows} <= {"neg", "pos"} and all(row.text for row in rows)
