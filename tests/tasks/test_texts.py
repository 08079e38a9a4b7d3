"""Plain text files and tables as documents."""

import gzip
import json

import pytest

from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.texts import read_texts

TWO = " = Title = \n \n The first line ,\n the second .\n\t\n\nLast\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(TWO, encoding="utf-8")
    return str(path)


def texts(path, layout=None):
    return [example.text for example in read_texts(str(path), layout)]


def test_blank_lines_part_documents(file):
    assert texts(file) == texts(file, "text") == [" = Title = ", " The first line ,\n the second .", "Last"]
    assert [example.id for example in read_texts(file)] == [f"{file}:1", f"{file}:3", f"{file}:7"]


def test_every_line_or_file_can_be_a_document(file):
    assert texts(file, "lines") == [" = Title = ", " The first line ,", " the second .", "Last"]
    assert [example.source.line for example in read_texts(file, "lines")] == [1, 3, 4, 7]
    assert texts(file, "file") == [TWO]


def test_a_folder_is_read_in_the_order_of_names(file, tmp_path):
    with gzip.open(tmp_path / "B.TXT.gz", "wt") as packed:
        packed.write("packed")
    (tmp_path / "notes.md").write_text("not read")
    assert texts(tmp_path, "file") == ["packed", TWO]
    assert texts(tmp_path)[:2] == ["packed", " = Title = "]


def test_rows_of_a_table(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "one", "id": 7}, {"text": "two\n\nparts", "label": 1}, {"text": None}, {"text": "", "id": None}]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second, bad, empty = read_texts(str(path))
    assert (first.id, first.text) == ("7", "one")
    assert (second.id, second.text, second.label) == (f"{path}:2", "two\n\nparts", None)
    assert isinstance(bad, BadRow) and str(bad.error()) == f"{path}:3: the column 'text' must hold text, this is null"
    assert (empty.id, empty.text) == (f"{path}:4", "")
    # as text, it is lines like others
    assert texts(path, "lines")[0] == json.dumps(rows[0])


def test_a_bad_line_parts_documents(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\nbr\xfcchig\nthree\n")
    found = list(read_texts(str(path)))
    assert [getattr(row, "text", None) for row in found] == ["one\ntwo", None, "three"]
    assert isinstance(found[1], BadRow) and found[1].source.line == 3 and "0xfc" in found[1].reason
    with pytest.raises(DataError, match=r"a.txt:3: .*0xfc"):
        texts(path, "file")


def test_what_cannot_be_read_is_named(file, tmp_path):
    with pytest.raises(DataError, match=r"no layout 'poem' of texts; the layouts are text, lines, file, table"):
        texts(file, "poem")
    (tmp_path / "a.csv").write_text("body,label\nx,1\n")
    with pytest.raises(DataError, match=r"a.csv: no column 'text'; there are: 'body', 'label'"):
        texts(tmp_path / "a.csv")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="empty"):
        texts(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError):
        texts(tmp_path / "nowhere.txt")
