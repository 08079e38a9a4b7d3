"""`longspan charlm`: a model trained, scored and asked for text from the command line, and errors in one line."""

import errno
import json

import pytest
import yaml
from typer.testing import CliRunner

from longspan.cli.main import app
from tests.charlm.toys import SETTINGS, STAGES, write_text


def call(*arguments):
    return CliRunner().invoke(app, ["charlm", *map(str, arguments)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The text and the folder of a run of a few steps."""
    folder = tmp_path_factory.mktemp("charlm")
    text = write_text(folder / "words.txt", 4000)
    stages = [{**STAGES[0], "steps": 3}, {**STAGES[1], "steps": 2}]
    recipe = {"about": "A.", "command": "c", "cost": "none", "expected": {}, "source": "nobody"}
    (folder / "toy.yaml").write_text(yaml.safe_dump({**recipe, "settings": SETTINGS, "stages": stages}))
    options = ["--recipe", folder / "toy.yaml", "--data", text, "--out", folder / "run", "--set", "width=16"]
    done = call("train", *options, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["steps"] == 5 and result["settings"]["width"] == 16
    again = call("train", *options)
    assert again.exit_code == 0 and "bits per character of the validation part after 5 steps" in again.stdout
    return text, folder / "run" / "model"


def test_scores(run):
    text, model = run
    options = ["--model", model, "--data", text, "--length", 100, "--step", 20]
    done = call("evaluate", *options, "--part", "validation", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["part"] == "validation" and result["characters"] == 199 and 1 < result["bits_per_character"] < 12
    done = call("evaluate", *options, "--streaming", "--limit", 150, "--part", "all")
    assert done.exit_code == 0 and "bits per character of 150 of all" in done.stdout
    assert "the model reaches 80" in done.stdout
    done = call("evaluate", "--model", model.parent, *options[2:], "--part", "validation", "--json")
    assert json.loads(done.stdout) == result  # the run's folder is its model


def test_text(run):
    _, model = run
    done = call("generate", "--model", model, "--prompt", "the ", "--characters", 40, "--seed", 3)
    assert done.exit_code == 0 and done.stdout.startswith("the ")
    assert done.stdout == call("generate", "--model", model, "--prompt", "the ", "--characters", 40, "--seed", 3).stdout
    done = call("generate", "--model", model, "--characters", 5, "--json")
    assert json.loads(done.stdout)["characters"] == 5


def test_a_reader_that_has_had_enough_is_no_error(run, monkeypatch):
    def closed(*args, **kwargs):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("typer.echo", closed)
    done = call("generate", "--model", run[1], "--characters", 0)
    assert done.exit_code == 1 and "Broken pipe" not in done.output


def test_a_device_that_is_not_there_is_named(run):
    done = call("generate", "--model", run[1], "--device", "abacus")
    assert done.exit_code == 1 and "device 'abacus' cannot be used here" in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "--recipe", "poetry", "--data", "x", "--out", "y"], 1, "there is no recipe 'poetry'"),
        (["train", "--recipe", "small", "--data", "no", "--out", "y"], 1, "no: No such file"),
        (["train", "--recipe", "enwik8", "--data", "few", "--out", "y"], 1, "for a text of 100,000,000 characters"),
        (["train", "--recipe", "small", "--data", "few", "--out", "y"], 1, "length of a stage must be below"),
        (["train", "--recipe", "small", "--data", "few", "--out", "y", "--set", "depth=1"], 2, "there is no 'depth'"),
        (["train", "--recipe", "small", "--data", "few", "--out", "y", "--set", "width=x"], 1, "width must be of type"),
        (["train", "--recipe", "small", "--data", "none", "--out", "y"], 1, "none: the file is empty"),
        (["evaluate", "--model", "./no", "--data", "few"], 1, "'./no' is no directory"),
        (
            ["evaluate", "--model", "./no", "--data", "few", "--part", "dev"],
            2,
            "must be one of train, validation, test, all",
        ),
        (["evaluate", "--model", "./no", "--data", "few", "--test", "2"], 1, "test must be a share between 0 and 1"),
        (["generate", "--model", "./no"], 1, "'./no' is no directory"),
        (["generate", "--model", "./no", "--characters", "0", "--json"], 2, "0 has no end"),
    ],
)
def test_errors_are_one_line(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").write_text("a few characters " * 20)
    (tmp_path / "none").write_text("")
    done = call(*arguments)
    assert done.exit_code == code, done.output
    assert message in " ".join(done.output.replace("│", " ").split()) and "Traceback" not in done.output
