"""`longspan lra`: rows, a run and its report from the command line, and errors in one line."""

import json

import pytest
from typer.testing import CliRunner

from longspan.cli.main import app


def call(*arguments):
    return CliRunner().invoke(app, ["lra", *map(str, arguments)])


@pytest.fixture(scope="module")
def listops(tmp_path_factory):
    """Short expressions."""
    folder = tmp_path_factory.mktemp("lra") / "listops"
    options = ["--train", 60, "--validation", 20, "--test", 20, "--min-length", 2, "--max-length", 20]
    done = call("generate", "listops", "--out", folder, *options)
    assert done.exit_code == 0 and "100 rows" in done.stdout
    return folder


def test_a_run_and_its_report(listops, tmp_path):
    options = ["--model", "nystromformer", "--data", listops, "--out", tmp_path / "run", "--steps", 3, "--seed", 2]
    for name, value in (("warmup", 1), ("batch", 4), ("evaluate_rows", 8), ("width", 8), ("lr", "1e-3")):
        options += ["--set", f"{name}={value}"]
    done = call("run", "listops", *options, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["seed"] == 2 and result["rows"] == {"train": 60, "validation": 20, "test": 20}
    again = call("run", "listops", *options)
    assert again.exit_code == 0
    assert f"{100 * result['accuracy']:.2f} % of 20 test rows" in again.stdout
    assert "differs from the protocol: warmup 1 instead of 1000" in again.stdout
    told = call("report", tmp_path)
    assert told.exit_code == 0
    row = " ".join(told.stdout.splitlines()[2].split())
    assert row.startswith("| ListOps | Nyströmformer | Nyströmformer, 64 landmarks | 37.15 |")
    assert "(3 of 5,000 steps)" in told.stdout and "rows generated here with seed 0" in told.stdout


def test_pictures_are_drawn(tmp_path):
    sizes = ["--train", 3, "--validation", 1, "--test", 1, "--difficulty", "easy"]
    done = call("generate", "pathfinder32", "--out", tmp_path / "out", *sizes)
    assert done.exit_code == 0 and (tmp_path / "out/train/tokens.bin").stat().st_size == 3 * 1024


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["generate", "image", "--out", "x"], 2, "must be one of listops, pathfinder32, pathfinder64"),
        (["generate", "pathfinder32", "--out", "x", "--max-depth", "3"], 2, "max_depth: of listops only"),
        (["generate", "listops", "--out", "x", "--difficulty", "easy"], 2, "--difficulty: of Pathfinder only"),
        (["generate", "listops", "--out", "x", "--max-depth", "2"], 1, "min_length must be below 12"),
        (["generate", "pathfinder32", "--out", "x", "--difficulty", "mad"], 2, "--difficulty: must be one of easy"),
        (["run", "listops", "--model", "bert", "--data", ".", "--out", "x"], 2, "--model: must be one of longformer"),
        (["run", "poetry", "--model", "softmax", "--data", ".", "--out", "x"], 2, "TASK: must be one of listops"),
        (["run", "text", "--model", "softmax", "--data", "no", "--out", "x"], 1, "train: no such file"),
        (["run", "text", "--model", "softmax", "--data", ".", "--out", "x", "--set", "depth=1"], 2, "no 'depth'"),
        (["run", "text", "--model", "softmax", "--data", ".", "--out", "x", "--set", "lr=fast"], 1, "lr must be of"),
        (["report", "."], 1, "there is no result of a run"),
    ],
)
def test_errors_are_one_line(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == code, done.output
    assert message in " ".join(done.output.replace("│", " ").split()) and "Traceback" not in done.output
