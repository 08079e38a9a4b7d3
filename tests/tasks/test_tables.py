"""Rows of JSON lines, JSON lists, CSV and TSV, and what is said of those that are none."""

import csv
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks import tables
from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.tables import read_tables
from tests._support import peak_mib


def rows_of(folder, name, data, *columns, **options):
    """Good rows as (line, fields), bad ones as "line: reason"."""
    file = folder / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    found = []
    for row in read_tables(str(file), columns, **options):
        if isinstance(row, BadRow):
            assert row.source.file == str(file)
            found.append(f"{row.source.line}: {row.reason}")
        else:
            found.append((row[0].line, row[1]))
    return found


def test_json_lines(tmp_path):
    data = '{"text": "a", "n": 1}\n\n{"text": "b", "more": [null]}\r\n'
    expected = [(1, {"text": "a", "n": 1}), (3, {"text": "b", "more": [None]})]
    assert rows_of(tmp_path, "a.jsonl", data, "text") == expected
    assert rows_of(tmp_path, "a.json", data, "text") == expected
    assert rows_of(tmp_path, "a.JSONL.gz", gzip.compress(data.encode()), "text") == expected


def test_json_lists(tmp_path):
    data = json.dumps([{"text": "a"}, {"text": "b"}, 3], indent=2)
    assert rows_of(tmp_path, "a.json", data, "text") == [
        (1, {"text": "a"}),
        (2, {"text": "b"}),
        "3: a row must be a JSON object, this is a number",
    ]


def test_faults_of_json_rows_stay_in_their_places(tmp_path):
    rows = [
        '{"text": "good"}',
        '{"text": "cut',
        '["text", "a"]',
        '"text"',
        "null",
        '{"txt": "a", "label": 1}',
        "{}",
        '{"text": NaN}',
        '{"text": "\\udc00"}',
        '{"text": "good"}',
    ]
    assert rows_of(tmp_path, "a.jsonl", "\n".join(rows) + "\n\xff", "text") == [
        (1, {"text": "good"}),
        "2: column 10: not JSON: Unterminated string starting at",
        "3: a row must be a JSON object, this is a list",
        "4: a row must be a JSON object, this is text",
        "5: a row must be a JSON object, this is null",
        "6: no column 'text'; there are: 'txt', 'label'",
        "7: no column 'text'; there are: none",
        "8: NaN is not JSON",
        "9: \\udc00 is half a surrogate pair, which is no character",
        (10, {"text": "good"}),
        "11: column 1: not JSON: Expecting value",
    ]


def test_a_document_is_not_rows(tmp_path):
    with pytest.raises(DataError, match=r"this is an object with the keys 'version', 'data'"):
        rows_of(tmp_path, "squad.json", json.dumps({"version": 1, "data": []}, indent=1), "text")
    with pytest.raises(DataError, match=r"a\.json:2: column 1: not JSON"):
        rows_of(tmp_path, "a.json", '[{"text": "a"},\n', "text")


def test_csv(tmp_path):
    data = 'text,label\r\nplain,1\r\n"a, ""b""\nsecond line\n\nfourth",2\r\n\r\n" space ",\r\n'
    assert rows_of(tmp_path, "a.csv", b"\xef\xbb\xbf" + data.encode(), "text", "label") == [
        (2, {"text": "plain", "label": "1"}),
        (3, {"text": 'a, "b"\nsecond line\n\nfourth', "label": "2"}),
        (8, {"text": " space ", "label": ""}),
    ]


@given(st.lists(st.tuples(*[st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))] * 2)))
def test_csv_is_read_as_it_was_written(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    with open(file, "w", encoding="utf-8", newline="") as out:
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows, ("", "")])
    assert [tuple(row[1].values()) for row in read_tables(str(file))] == [*rows, ("", "")]


def test_a_csv_field_may_be_longer_than_pythons_limit(tmp_path):
    assert rows_of(tmp_path, "a.csv", "text,label\n" + "x" * 200_000 + ",1\n") == [
        (2, {"text": "x" * 200_000, "label": "1"})
    ]


def test_faults_of_csv_rows_stay_in_their_places(tmp_path):
    data = b'text,label\nfine,1\ntoo,many,2\nfew\n"quote"s,1\nna\xefve,1\n'
    data += b'"a\n\xff\nb",1\nfine,1\n"never closed,1\nfine,1\n'
    assert rows_of(tmp_path, "a.csv", data) == [
        (2, {"text": "fine", "label": "1"}),
        "3: 3 fields, where the header has 2",
        "4: 1 fields, where the header has 2",
        "5: not CSV: ',' expected after '\"'",
        "6: byte 3 of the line, 0xef, is not UTF-8: invalid continuation byte",
        "8: byte 1 of the line, 0xff, is not UTF-8: invalid start byte",
        (10, {"text": "fine", "label": "1"}),
        "11: not CSV: unexpected end of data, in the quotes that it opens, at line 12",
        (12, {"text": "fine", "label": "1"}),
    ]


@pytest.mark.parametrize("stray", ['"never closed,1', 'x,"', '"closed far below'])
def test_a_stray_quote_costs_its_own_row_only(tmp_path, stray):
    rows = [f'"row, {i}",1' if i % 3 else f"row {i},1" for i in range(1000)]
    expected = [f"row, {i}" if i % 3 else f"row {i}" for i in range(1000)]
    rows[3], expected[3] = stray, "5: not CSV"
    rows[500:502] = ["na\xefve,1", '"two\nlines",1']
    expected[500:502] = ["502: byte 3", "two\nlines"]
    found = rows_of(tmp_path, "a.csv", "\n".join(["text,label", *rows]).encode("latin-1"))
    told = [row[: len(x)] if isinstance(row, str) else row[1]["text"] for row, x in zip(found, expected, strict=True)]
    assert told == expected and found[-1][0] == 1002


def test_the_lines_of_a_record_with_too_few_fields_are_named(tmp_path):
    assert rows_of(tmp_path, "a.csv", 'text,label\n"a\nb\nc"\nfine,1\n') == [
        "2: 1 fields, on lines 2 to 4, where the header has 2",
        (5, {"text": "fine", "label": "1"}),
    ]


def test_an_open_quote_is_not_followed_to_the_end_of_the_file(monkeypatch):
    """What it keeps in memory is bounded, also where a library has raised the limit of the whole process."""
    before = csv.field_size_limit(2**40)
    lines = iter(["text,label", '"never closed,1', *["x" * 2**22 + ",1"] * 40])
    monkeypatch.setattr(tables, "open_lines", lambda path: enumerate(lines, start=1))
    rows = read_tables("a.csv")
    try:
        assert next(rows).reason.startswith("not CSV: a record of more than 33,554,432 characters")
        assert next(rows)[0].line == 3 and len(list(lines)) > 20
    finally:
        csv.field_size_limit(before)


def test_wrong_columns_are_told_before_the_first_row(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv: no column 'text', 'label'; there are: 'review', 'Label'"):
        rows_of(tmp_path, "a.csv", "review,Label\na,1\n", "text", "label")
    with pytest.raises(DataError, match=r"a\.csv: no column 'text'; there are: 'text;label'"):
        rows_of(tmp_path, "a.csv", "text;label\na;1\n", "text")
    with pytest.raises(DataError, match=r"a\.tsv: the header names the column 'a' twice"):
        rows_of(tmp_path, "a.tsv", "a\tb\ta\n1\t2\t3\n")


def test_many_columns_are_not_all_listed(tmp_path):
    header = ",".join(f"c{i}" for i in range(500))
    with pytest.raises(DataError, match=r"there are: 'c0', .*'c11', \.\.\.$"):
        rows_of(tmp_path, "a.csv", header + "\n", "text")


def test_tsv_has_no_quotes(tmp_path):
    data = 'text\tlabel\n" a\t1\nb "c"\t\n\nd\te\tf\n'
    assert rows_of(tmp_path, "a.tsv", data, "text") == [
        (2, {"text": '" a', "label": "1"}),
        (3, {"text": 'b "c"', "label": ""}),
        "5: 3 fields, where the header has 2",
    ]


@pytest.mark.parametrize(("name", "data"), [("a.tsv", "x\ty\n"), ("a.csv", "x,y\n")])
def test_columns_can_be_named_for_a_file_without_a_header(tmp_path, name, data):
    assert rows_of(tmp_path, name, data, "b", names=("a", "b")) == [(1, {"a": "x", "b": "y"})]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv"])
def test_a_file_without_rows_is_an_error(tmp_path, name):
    with pytest.raises(DataError, match="the file is empty"):
        rows_of(tmp_path, name, "")
    with pytest.raises(DataError, match=f"{name}: there is no row|header|not JSON"):
        rows_of(tmp_path, name, "\n\n")
    if name not in ("a.jsonl", "a.json"):
        with pytest.raises(DataError, match=f"{name}: there is no row"):
            rows_of(tmp_path, name, "text\n")
    if name == "a.json":
        with pytest.raises(DataError, match=f"{name}: there is no row"):
            rows_of(tmp_path, name, "[]")


def test_an_unreadable_header_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv:1: byte 5 of the line, 0xe9, is not UTF-8"):
        rows_of(tmp_path, "a.csv", b"text\xe9\na\n")


def test_unknown_kinds_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.xlsx: unknown kind of file; known are \.jsonl"):
        rows_of(tmp_path, "a.xlsx", "text")
    with pytest.raises(FileNotFoundError):
        list(read_tables(str(tmp_path / "none.csv")))
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        list(read_tables(str(tmp_path / "none")))


def test_memory_is_flat(tmp_path):
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.csv"
    lines.write_text('{"text": "a row", "label": 1}\n' * 50_000)
    table.write_text("text,label\n" + '"a\nrow",1\n' * 50_000)
    reads = [f"for row in read_tables({str(file)!r}): pass" for file in (lines, table)]
    assert max(peak_mib("from longspan.tasks.tables import read_tables", *reads)) < 4
