"""`longspan convert`: arguments, messages, exit codes."""

import json

import pytest
from typer.testing import CliRunner

import longspan
from longspan.cli.main import app
from tests.models.conversion_cases import make_source


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, ["convert", *map(str, arguments)])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("convert") / "source"
    make_source(folder, "bert", "ForPreTraining")
    return folder


def test_makes_a_longformer_and_says_what_it_did(run, source, tmp_path):
    out = tmp_path / "out"
    result = run(source, out, "--to", "longformer", "--max-length", 64, "--window", 16)
    assert result.exit_code == 0, result.stderr
    config = longspan.LongformerConfig.from_pretrained(out)
    assert config.attention_window == 16 and config.max_position_embeddings == 65
    assert "LongformerForMaskedLM for 64 tokens, from a BertForPreTraining for 24" in result.stdout
    assert "cls.seq_relationship.weight" in result.stdout and "no tokenizer" in result.stdout
    assert "differ from the source's by at most" in result.stdout


def test_makes_a_nystromformer(run, source, tmp_path):
    result = run(source, tmp_path / "out", "--to", "nystromformer", "--max-length", 64, "--landmarks", 8, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["model_class"] == "NystromformerForMaskedLM" and report["max_length"] == 64
    assert report["compared_tokens"] == 8 and report["difference"] < 1e-5
    assert "pooler.dense.weight" in report["dropped"]
    assert longspan.NystromformerConfig.from_pretrained(tmp_path / "out").num_landmarks == 8


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max-length", "64", "--to", "bigbird"],
        ["--max-length", "64", "--to", "nystromformer", "--window", "8"],
        ["--max-length", "64", "--landmarks", "8"],
        ["--max-length", "0"],
        ["--window", "8"],
    ],
)
def test_wrong_usage_is_2(run, source, tmp_path, arguments):
    result = run(source, tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_2_and_stays(run, source, tmp_path):
    result = run(source, tmp_path, "--max-length", 64)
    assert result.exit_code == 2 and "exists already" in " ".join(result.stderr.split())
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["none", "gpt2"])
def test_what_cannot_be_converted_is_1_and_not_a_traceback(run, source, tmp_path, name):
    if name == "gpt2":
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "gpt2"}')
    result = run(tmp_path / name, tmp_path / "out", "--max-length", 64)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "longspan: " in result.stderr and name in result.stderr
    assert not (tmp_path / "out").exists()
