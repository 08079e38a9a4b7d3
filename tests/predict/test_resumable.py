"""Files of lines that an interrupted run leaves half written, and the next one completes."""

import os

import pytest

from longspan.predict.resumable import ResumableLines, fingerprint


def test_the_file_is_there_when_it_is_whole(tmp_path):
    out = tmp_path / "out.jsonl"
    lines = ResumableLines(out, {"run": 1})
    lines.write({"a": "ü\u2028"})
    lines.flush()
    assert not out.exists()
    lines.write({"b": 2})
    lines.finish()
    assert out.read_bytes() == b'{"a": "\\u00fc\\u2028"}\n{"b": 2}\n'
    assert os.listdir(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize("rest", [b"", b'{"b": ', b'{"b": 2}'])
def test_the_same_run_goes_on_after_the_last_whole_line(tmp_path, rest):
    out = tmp_path / "out.jsonl"
    lines = ResumableLines(out, {"run": [1, None], "tuple": (1, 2)})
    lines.write({"a": 1})
    lines.close()
    with open(tmp_path / "out.jsonl.partial", "ab") as file:
        file.write(rest)
    lines = ResumableLines(out, {"run": [1, None], "tuple": (1, 2)})
    assert lines.done == 1
    lines.write({"b": 2})
    lines.finish()
    assert out.read_bytes() == b'{"a": 1}\n{"b": 2}\n'


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_lines_can_be_forgotten(tmp_path, count):
    lines = ResumableLines(tmp_path / "out.jsonl", {})
    for i in range(3):
        lines.write({"i": i})
    lines.close()
    lines = ResumableLines(tmp_path / "out.jsonl", {})
    lines.keep(count)
    assert lines.done == min(count, 3)
    lines.write({"i": 9})
    lines.finish()
    assert [line[6:-1] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [*"012"[:count], "9"]


def test_another_run_starts_anew(tmp_path):
    out = tmp_path / "out.jsonl"
    lines = ResumableLines(out, {"run": 1})
    lines.write({"a": 1})
    lines.close()
    lines = ResumableLines(out, {"run": 2})
    assert lines.done == 0
    lines.finish()
    assert out.read_bytes() == b""


@pytest.mark.parametrize("note", [None, b"", b"{"])
def test_lines_without_a_note_are_of_no_run(tmp_path, note):
    (tmp_path / "out.jsonl.partial").write_bytes(b"{}\n")
    if note is not None:
        (tmp_path / "out.jsonl.partial.json").write_bytes(note)
    assert ResumableLines(tmp_path / "out.jsonl", {"run": 1}).done == 0


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("old\n")
    lines = ResumableLines(out, {})
    lines.write({})
    lines.close()
    assert out.read_text() == "old\n"
    lines = ResumableLines(out, {})
    lines.finish()
    assert out.read_text() == "{}\n"


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder; name a file"):
        ResumableLines(tmp_path, {})
    with pytest.raises(OSError):
        ResumableLines(tmp_path / "missing" / "out.jsonl", {})


def test_a_fingerprint_tells_changes(tmp_path):
    file = tmp_path / "deep" / "a.txt"
    file.parent.mkdir()
    file.write_text("one")
    before = fingerprint(tmp_path)
    assert before == fingerprint(tmp_path) and [entry[0] for entry in before] == [str(file)]
    file.write_text("other")
    assert fingerprint(tmp_path) != before and fingerprint(file) == fingerprint(tmp_path)
    assert fingerprint("owner/model") == [["owner/model"]]
