"""`longspan tag`, with a tagger that marks every "$word" and "<script>": what the model finds is tested elsewhere."""

import json
import re
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from longspan.cli.main import app
from longspan.tasks.passages import Passage


def fake_tagger(text, progress=None):
    progress(1, 1)
    if len(text) > 1000:
        raise ValueError("the document has too many tokens")
    found = [Passage("Money", m.start(), m.end(), 0.75) for m in re.finditer(r"\$\w+", text)]
    found += [Passage("Markup", m.start(), m.end(), 0.5) for m in re.finditer("<script>", text)]
    return SimpleNamespace(passages=found, n_tokens=len(text.split()), seconds=0.01)


@pytest.fixture
def run(monkeypatch):
    loaded = []

    def load(model):
        loaded.append(model)
        return fake_tagger

    monkeypatch.setattr("longspan.cli.tag.load_tagger", load)

    def call(*arguments, **kwargs):
        result = CliRunner().invoke(app, ["tag", *map(str, arguments)], **kwargs)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    call.loaded = loaded
    return call


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_table_shows_category_passage_confidence_and_offsets(run, tmp_path):
    result = run(write(tmp_path / "a.txt", "it costs $ten now"))
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if "Money" in line)
    assert "$ten" in row and "75%" in row and "9-13" in row


def test_json_has_one_line_a_file_with_stable_keys(run, tmp_path):
    a = write(tmp_path / "a.txt", "it costs $ten now and $two")
    b = write(tmp_path / "b.txt", "nothing")
    result = run("--json", a, b)
    first, second = map(json.loads, result.stdout.splitlines())
    assert list(first) == ["file", "characters", "tokens", "passages"]
    assert first["file"] == str(a) and first["characters"] == 26 and first["tokens"] == 6
    assert first["passages"] == [
        {"category": "Money", "start": 9, "end": 13, "score": 0.75, "text": "$ten"},
        {"category": "Money", "start": 22, "end": 26, "score": 0.75, "text": "$two"},
    ]
    assert second == {"file": str(b), "characters": 7, "tokens": 1, "passages": []}
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_standard_input(run, arguments):
    result = run("--json", *arguments, input="é $ten")
    document = json.loads(result.stdout)
    assert document["file"] == "-"
    assert document["passages"][0]["start"] == 2


@pytest.mark.parametrize(
    ("data", "encoding", "characters", "start"),
    [
        ("é\r\n$ten".encode(), None, 7, 3),
        ("é\n\r$ten".encode(), None, 7, 3),
        ("\ufeffé $ten".encode(), None, 6, 2),
        ("é $ten".encode("utf-16"), None, 6, 2),
        (b"\xfe\xff" + "é $ten".encode("utf-16-be"), None, 6, 2),
        ("é $ten".encode("utf-32"), None, 6, 2),
        ("é $ten".encode("cp1252"), "cp1252", 6, 2),
        ("é $ten".encode("utf-16-le"), "utf-16-le", 6, 2),
        ("\ufeffé $ten".encode(), "utf-8", 6, 2),
        ("😀 $ten".encode(), None, 6, 2),
        (b"", None, 0, None),
    ],
    ids=[
        "crlf",
        "lf-cr",
        "bom-8",
        "bom-16",
        "bom-16-be",
        "bom-32",
        "cp1252",
        "utf-16-le",
        "bom-named",
        "emoji",
        "empty",
    ],
)
def test_offsets_are_code_points_of_the_text_as_read(run, tmp_path, data, encoding, characters, start):
    option = ["--encoding", encoding] if encoding else []
    document = json.loads(run("--json", *option, write(tmp_path / "a.txt", data)).stdout)
    assert document["characters"] == characters
    assert [p["start"] for p in document["passages"]] == ([] if start is None else [start])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"abc\xe9 def", r"not utf-8 \(byte 0xe9 at offset 3: .*\); name its encoding, for example --encoding"),
        (b"ab\0cd", r"binary file \(a zero byte at offset 2\)"),
        (b"%PDF-1.7 text", "a PDF, not plain text"),
        (b"PK\x03\x04zip", "office document"),
        (b"\xff\xfea", r"not utf-16 \(byte 0x61 at offset 2"),
        (b"\xff\xfea\0\0\0", r"binary file, not utf-16 text \(U\+0000 at offset 1\)"),
    ],
    ids=["latin-1", "binary", "pdf", "docx", "half-utf-16", "utf-16-nul"],
)
def test_what_is_no_text_is_refused_and_the_others_are_done(run, tmp_path, data, message):
    bad = write(tmp_path / "bad.txt", data)
    good = write(tmp_path / "good.txt", "$ten")
    result = run("--json", bad, good)
    assert result.exit_code == 1
    assert re.search(message, result.stderr.replace("\n", " "))
    assert str(bad) in result.stderr
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [str(good)]


def test_a_document_that_the_model_cannot_take_is_1_and_the_others_are_done(run, tmp_path):
    long = write(tmp_path / "long.txt", "word " * 400)
    good = write(tmp_path / "good.txt", "$ten")
    result = run("--json", long, good)
    assert result.exit_code == 1
    assert f"{long}: the document has too many tokens" in result.stderr.replace("\n", "")
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [str(good)]


def test_missing_file_and_folder(run, tmp_path):
    result = run(tmp_path / "none.txt", tmp_path)
    assert result.exit_code == 1
    assert "none.txt: No such file" in result.stderr and "Is a directory" in result.stderr
    assert run.loaded == []


def test_model_is_loaded_once_and_by_name(run, tmp_path):
    a = write(tmp_path / "a.txt", "a")
    assert run("--model", "some/model", a, a).exit_code == 0
    assert run.loaded == ["some/model"]


def test_min_score(run, tmp_path):
    a = write(tmp_path / "a.txt", "<script> $ten")
    categories = [p["category"] for p in json.loads(run("--json", "--min-score", "0.6", a).stdout)["passages"]]
    assert categories == ["Money"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--min-score", "1.5"],
        ["--encoding", "klingon"],
        ["--encoding", "hex"],
        ["--html", "no/such/folder/out.html"],
        ["--html", "."],
        ["--colour", "red"],
    ],
)
def test_wrong_usage_is_2(run, tmp_path, arguments):
    result = run(*arguments, write(tmp_path / "a.txt", "a"))
    assert result.exit_code == 2
    assert arguments[0] in result.stderr
    assert run.loaded == []


def test_html_escapes_the_contract_and_its_name(run, tmp_path):
    text = "</mark><script>alert('$ten')</script> & <img src=x onerror=alert(1)> $two"
    out = tmp_path / "out.html"
    result = run("--html", out, write(tmp_path / "<b>&.txt", text))
    page = out.read_text(encoding="utf-8")
    assert result.exit_code == 0
    assert "<script" not in page and "<img" not in page and "<b>&" not in page
    assert "&lt;script&gt;" in page and "&lt;b&gt;&amp;.txt" in page


def test_html_never_replaces_an_input(run, tmp_path):
    a = write(tmp_path / "a.txt", "it costs $ten")
    before = a.read_bytes()
    result = run("--html", a, a)
    assert result.exit_code == 2 and "one of the files to read" in " ".join(result.stderr.split())
    link = tmp_path / "link.html"
    link.symlink_to(a)
    assert run("--html", link, a).exit_code == 2
    assert a.read_bytes() == before


def test_html_that_cannot_be_written_is_1(run, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    a = write(tmp_path / "a.txt", "a")
    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    result = run("--html", tmp_path / "out.html", a)
    assert result.exit_code == 1 and "Permission denied" in result.stderr


def test_control_characters_do_not_reach_the_terminal(run, tmp_path):
    result = run(write(tmp_path / "a.txt", "$a\x1b[31mred [bold]$b[/bold]"))
    assert "\x1b" not in result.stdout
    assert "$b" in result.stdout


def test_unusable_model_is_an_error_and_not_a_traceback(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "model").mkdir()
    result = CliRunner().invoke(app, ["tag", "--model", str(tmp_path / "model"), str(tmp_path / "a.txt")])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "cannot load the model" in result.stderr and str(tmp_path / "model") in result.stderr.replace("\n", "")
