"""The commands through a real, tiny, random model."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from longspan.cli.console import load_tagger
from longspan.cli.main import app

TEXT = "This agreement <script>alert(1)</script> is\r\ngoverned by the law of Zürich 😀 and of no other place. " * 8


def run(*arguments, **kwargs):
    result = CliRunner().invoke(app, [str(a) for a in arguments], **kwargs)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_tag_quotes_the_text_at_its_offsets(checkpoint, tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(TEXT.encode())
    result = run("tag", "--model", checkpoint, "--json", "--html", tmp_path / "a.html", file)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["characters"] == len(TEXT) and document["tokens"] > 34
    assert document["passages"]
    for p in document["passages"]:
        assert p["text"] == TEXT[p["start"] : p["end"]]
        assert p["category"] in ("Governing Law", "Parties") and 0 < p["score"] <= 1
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page


def test_an_empty_document_has_no_passages(checkpoint):
    result = run("tag", "--model", checkpoint, "--json", input=" \n")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["passages"] == []


def change_architecture(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))


def truncate_weights(folder):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def break_weights(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)


def remove_weights(folder):
    (folder / "model.safetensors").unlink()


def break_config(folder):
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    "damage",
    [change_architecture, truncate_weights, break_weights, remove_weights, break_config],
    ids=lambda f: f.__name__,
)
def test_a_damaged_checkpoint_is_an_error_and_not_a_traceback(checkpoint, tmp_path, damage):
    folder = tmp_path / "damaged"
    shutil.copytree(checkpoint, folder)
    damage(folder)
    result = run("tag", "--model", folder, "--json", input="text")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"cannot load the model {folder}" in result.stderr.replace("\n", "")


def test_demo_prints_passages_times_and_credit_and_writes_the_page(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "contract.txt").write_text(TEXT)
    monkeypatch.setattr("longspan.predict.demo.CONTRACT", tmp_path / "contract.txt")
    monkeypatch.setattr("longspan.cli.demo.load_tagger", lambda model: load_tagger(model or str(checkpoint)))
    result = run("demo", "--html", tmp_path / "demo.html")
    assert result.exit_code == 0, result.stderr
    shown = result.stdout
    assert "Governing Law" in shown and "Confidence" in shown and "Characters" in shown
    assert "one forward pass:" in shown and "dense attention:" in shown
    assert "The Atticus Project" in shown and "CC BY 4.0" in shown
    assert str(tmp_path / "demo.html") in shown
    page = (tmp_path / "demo.html").read_text(encoding="utf-8")
    assert "<mark" in page and "The Atticus Project" in page


def test_demo_of_several_copies_prints_memory_and_skips_dense_attention(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "contract.txt").write_text(TEXT)
    monkeypatch.setattr("longspan.predict.demo.CONTRACT", tmp_path / "contract.txt")
    monkeypatch.setattr("longspan.cli.demo.load_tagger", lambda model: load_tagger(model or str(checkpoint)))
    result = run("demo", "--copies", "5", "--html", tmp_path / "demo.html")
    assert result.exit_code == 0, result.stderr
    words = len(TEXT.split())
    assert f"{5 * words:,} words" in result.stdout and "peak memory of the whole process: " in result.stdout
    assert "dense attention" not in result.stdout
    assert "5 copies of" in (tmp_path / "demo.html").read_text(encoding="utf-8")
    assert run("demo", "--copies", "0").exit_code == 2
