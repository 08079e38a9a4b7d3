"""Lines and JSON documents of files: encodings, archives, faults with their places, flat memory."""

import bz2
import gzip
import json
import lzma
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.files import open_lines, parse_json, read_json, read_text
from tests._support import peak_mib


def lines_of(tmp_path, data, **options):
    file = tmp_path / "file.txt"
    file.write_bytes(data)
    return [
        str(row.error()).removeprefix(f"{file}:") if isinstance(row, BadRow) else row
        for row in open_lines(str(file), **options)
    ]


def test_lines_are_numbered_and_lose_their_ends(tmp_path):
    assert lines_of(tmp_path, b"one\ntwo\r\n\n four\t\nfive") == [
        (1, "one"),
        (2, "two"),
        (3, ""),
        (4, " four\t"),
        (5, "five"),
    ]


def test_only_line_feeds_end_a_line(tmp_path):
    text = "a\x0bb\x0cc\x85d\u2028e\u2029f\rg"
    assert lines_of(tmp_path, text.encode()) == [(1, text)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_byte_order_mark_decides(tmp_path, encoding):
    # U+0A0A and U+010A have a byte of 10 in them, and no line feed.
    rows = ["é\u0a0a\u010a", "", "\U0001f600 z"]
    text = "\n".join(rows) if encoding in ("utf-8-sig", "utf-16", "utf-32") else "\ufeff" + "\n".join(rows)
    assert lines_of(tmp_path, text.encode(encoding)) == list(enumerate(rows, 1))


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=8), min_size=1))
def test_lines_of_every_encoding_are_those_of_the_text(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("lines")
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        data = "".join(row + "\n" for row in rows).encode(encoding)
        assert lines_of(folder, data) == list(enumerate(rows, 1))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_archives_are_unpacked_whatever_they_are_called(tmp_path, pack):
    assert lines_of(tmp_path, pack("é\nb\n".encode("utf-16"))) == [(1, "é"), (2, "b")]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_broken_archive_is_an_error_with_its_place(tmp_path, pack):
    data = pack(b"".join(b"%d\n" % i for i in range(50_000)))
    file = tmp_path / "broken"
    file.write_bytes(data[: len(data) // 2])
    # a block of bzip2 is unpacked at once: none of its lines is there
    with pytest.raises(
        DataError, match=r"broken: cannot" if pack is bz2.compress else r"broken:\d+: cannot be unpacked"
    ):
        list(open_lines(str(file)))
    file.write_bytes(data[:20])
    with pytest.raises(DataError, match=r"broken.*cannot be unpacked"):
        read_text(str(file))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", gzip.compress(b"")], ids=["nothing", "mark", "gzip"])
def test_an_empty_file_is_an_error(tmp_path, data):
    with pytest.raises(DataError, match=r"file\.txt: the file is empty"):
        lines_of(tmp_path, data)
    with pytest.raises(DataError, match=r"file\.txt: the file is empty"):
        read_text(str(tmp_path / "file.txt"))


def test_another_encoding_in_one_line_is_a_fault_of_that_line(tmp_path):
    rows = [b"plain"] * 40_000
    rows[39_998] = "naïve".encode("latin-1")
    found = lines_of(tmp_path, b"\n".join(rows))
    assert len(found) == 40_000
    assert found[39_998] == "39999: byte 3 of the line, 0xef, is not UTF-8: invalid continuation byte"
    assert {row[1] for row in found[:39_998] + found[39_999:]} == {"plain"}


def test_utf_16_without_a_mark_is_not_taken_for_text(tmp_path):
    assert lines_of(tmp_path, "ab\nc".encode("utf-16-le")) == [
        "1: character 2 of the line is null: UTF-16 without a byte-order mark?",
        "2: character 1 of the line is null: UTF-16 without a byte-order mark?",
    ]


def test_utf_16_cut_in_a_character_is_a_fault_of_the_last_line(tmp_path):
    assert lines_of(tmp_path, "a\nbc".encode("utf-16")[:-1]) == [
        (1, "a"),
        "2: byte 3 of the line, 0x63, is not UTF-16-LE: truncated data",
    ]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_over_the_limit_is_skipped(tmp_path, end):
    rows = [b"12345678", b"123456789", b"x" * 100, b"1234"]
    assert lines_of(tmp_path, b"\n".join(rows) + end, limit=8) == [
        (1, "12345678"),
        "2: the line has 9 bytes, more than 8 that can be read",
        "3: the line has 100 bytes, more than 8 that can be read",
        (4, "1234"),
    ]
    data = b"".join(row + b"\n" for row in rows).decode().encode("utf-16")
    assert lines_of(tmp_path, data, limit=16)[1:] == [
        "2: the line has 18 bytes, more than 16 that can be read",
        "3: the line has 200 bytes, more than 16 that can be read",
        (4, "1234"),
    ]


def test_memory_is_flat(tmp_path):
    many, one = tmp_path / "many.txt", tmp_path / "one.txt.gz"
    many.write_bytes(b"a line of a file\n" * 400_000)
    with gzip.open(one, "wb", compresslevel=1) as file:
        file.writelines([b"x" * 2**20] * 50 + [b"\nlast\n"])
    reads = [f"for row in open_lines({str(file)!r}, 2**20): pass" for file in (many, one)]
    peaks = peak_mib("from longspan.tasks.files import open_lines", *reads)
    assert max(peaks) < 5
    assert row_of(one) == (2, "last")


def row_of(file):
    first, second = open_lines(str(file))
    assert "52,428,800 bytes" in first.reason
    return second


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"PK\x03\x04ab", "zip"), (b"\x28\xb5\x2f\xfd00", "zstd"), (b"PAR1\x15\x04", "parquet"), (b"%PDF-1.7", "PDF")],
)
def test_what_is_no_text_is_named(tmp_path, data, kind):
    with pytest.raises(DataError, match=f"this is a {kind}"):
        lines_of(tmp_path, data)
    with pytest.raises(DataError, match=f"this is a {kind}"):
        lines_of(tmp_path, gzip.compress(data))


def test_text_that_begins_like_an_archive_is_text(tmp_path):
    assert lines_of(tmp_path, b"PAR1 codes for a protein\n") == [(1, "PAR1 codes for a protein")]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(open_lines(str(tmp_path / "none")))


def test_a_pipe_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(b"\xef\xbb\xbfa\nb\n"),))
    writer.start()
    assert list(open_lines(str(pipe))) == [(1, "a"), (2, "b")]
    writer.join()


def test_a_whole_text_keeps_its_line_ends(tmp_path):
    file = tmp_path / "text"
    file.write_bytes("\ufeffa\r\nb\rc\n\n".encode("utf-16-be"))
    assert read_text(str(file)) == "a\r\nb\rc\n\n"


def test_a_fault_of_a_whole_text_has_its_line(tmp_path):
    file = tmp_path / "text"
    file.write_bytes(b"one\ntwo\nthr\xe9e\n")
    with pytest.raises(DataError, match=r"text:3: byte 4 of the line, 0xe9, is not UTF-8"):
        read_text(str(file))


def test_json_documents(tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(lzma.compress(json.dumps({"a": ["\U0001f600"]}, indent=1).encode("utf-8-sig")))
    assert read_json(str(file)) == {"a": ["\U0001f600"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "b" 2}', r"a\.json:2: column 6: not JSON: Expecting ':' delimiter"),
        ('{"a": NaN}', r"a\.json: NaN is not JSON"),
        ("[-Infinity]", r"a\.json: -Infinity is not JSON"),
        ('["\\ud83d"]', r"a\.json: \\ud83d is half a surrogate pair"),
        ('{"\\uDE00": 1}', r"a\.json: \\ude00 is half a surrogate pair"),
        ("[" * 100_000, r"a\.json: the JSON is nested too deeply"),
        ("[" + "1" * 5000 + "]", r"a\.json: .*5000 digits|a\.json: .*limit"),
    ],
)
def test_a_fault_of_json_is_told(tmp_path, text, message):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_json(str(file))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_json_is_what_it_was(value):
    assert parse_json(json.dumps(value)) == value


def test_escaped_pairs_are_characters():
    assert parse_json('"\\ud83d\\ude00 \\\\ud83d"') == "\U0001f600 \\ud83d"
