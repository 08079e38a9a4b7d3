"""`longspan train`: options become arguments, errors become one line, and a run can be given again."""

import json

import pytest
from typer.testing import CliRunner

from longspan.cli.main import app
from longspan.cli.train import _print
from longspan.train.result import Result

pytest.importorskip("accelerate")
pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Reviews in a table, and a tiny checkpoint."""
    from tests.train.parity import write_checkpoint

    folder = tmp_path_factory.mktemp("data")
    for name, rows in (("train", 24), ("validation", 8)):
        lines = [
            {"text": "good agreement between parties" if i % 2 else "bad ends", "label": "yes" if i % 2 else "no"}
            for i in range(rows)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_checkpoint(folder / "model")
    return folder


def call(data, out, *options, task="classify"):
    base = ["train", task, "--data", str(data / "train.jsonl"), "--out", str(out)]
    return CliRunner().invoke(app, [*base, *map(str, options)])


def test_a_run_and_the_same_again(data, tmp_path):
    options = ["--validation", data / "validation.jsonl", "--model", data / "model", "--steps", 20, "--batch", 4]
    options += ["--lr", 1e-2, "--json"]
    done = call(data, tmp_path / "run", *options)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["steps"] == 20 and result["rows"] == 24 and result["scores"]["accuracy"] == 1.0
    again = call(data, tmp_path / "run", *options)
    assert again.exit_code == 0 and json.loads(again.stdout)["resumed"] == 20
    other = call(data, tmp_path / "run", *options, "--seed", 1)
    assert other.exit_code == 1
    assert "longspan: " in other.stderr and "seed was 0, is 1" in other.stderr and "Traceback" not in other.output


def test_the_result_is_shown(data, tmp_path):
    done = call(data, tmp_path / "run", "--model", data / "model", "--steps", 2, "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "2 over 24 rows" in done.stdout and "training loss" in done.stdout


def test_a_recipe_and_what_wins_over_it(data, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "about: A.\ncommand: longspan train classify\ncost: none\nexpected: {}\nsource: nobody\ntask: classify\n"
        "scratch: tiny\narguments: {epochs: 1.0, batch: 4, max_length: 64, lr: 1.0e-3, holdout: 0.2}\n"
    )
    done = call(data, tmp_path / "run", "--recipe", recipe, "--steps", 2, "--family", "nystromformer", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["steps"] == 2 and result["scores"] and result["rows"] < 24
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model_type"] == "nystromformer"
    wrong = call(data, tmp_path / "other", "--recipe", recipe, task="tag")
    assert wrong.exit_code == 1 and "the recipe mine is for the task classify, not for tag" in wrong.stderr


def test_options_of_the_task_and_arguments_without_a_flag(data, tmp_path):
    table = tmp_path / "reviews.csv"
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    table.write_text("review,1\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "about: A.\ncommand: longspan train classify\ncost: none\nexpected: {}\nsource: nobody\ntask: classify\n"
        "options: {text: nothing, label: '1'}\narguments: {epochs: 9.0, batch: 4, max_length: 64}\n"
    )
    base = ["train", "classify", "--data", table, "--out", tmp_path / "run", "--model", data / "model", "--json"]
    own = ["--recipe", recipe, "--option", "text=review", "--option", "metric=f1_macro", "--option", "truncate=true"]
    own += ["--set", "steps=2", "--set", "max_length=32", "--set", "holdout=0.25", "--set", "lr=1e-3", "--lr", "1e-4"]
    done = CliRunner().invoke(app, [str(word) for word in base + own])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == 2 and json.loads(done.stdout)["rows"] < 24
    saved = json.loads((tmp_path / "run" / "longspan.json").read_text())
    assert saved["max_length"] == 32
    assert (
        saved["options"] | {"text": "review", "label": "1", "metric": "f1_macro", "truncate": True} == saved["options"]
    )
    begun = json.loads((tmp_path / "run" / "training" / "features" / "features.json").read_text())["about"]["run"]
    assert (begun["lr"], begun["epochs"], begun["holdout"]) == (1e-4, 3.0, 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--option", "colour=red"], "there is no 'colour'; there are problem, labels, text,"),
        (["--option", "text"], "write NAME=VALUE, got 'text'"),
        (["--set", "colour=red"], "there is no 'colour'; there are steps, epochs, batch,"),
        (["--set", "max_length=long"], "max_length must be of type int, got 'long'"),
        (["--set", "max_length=["], "max_length must be of type int, got '['"),
        (["--option", "truncate=perhaps"], "option truncate of the task classify must be of type bool, got 'perhaps'"),
        (["--epochs", "inf"], "epochs must be a finite number, got inf"),
        (["--set", "steps=2", "--epochs", "50"], "give either steps or epochs"),
        (["--option", "labels=[[yes], no]"], "labels of the task classify must be of type list of str or null"),
        (["--validation", "dev.jsonl", "--set", "holdout=0.1"], "holdout is for data without a validation file"),
    ],
)
def test_options_and_arguments_that_cannot_be(data, options, message, tmp_path):
    done = call(data, tmp_path / "run", "--model", data / "model", *options)
    flat = " ".join(done.stderr.replace("│", " ").split())
    assert done.exit_code in (1, 2) and message in flat and "Traceback" not in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scratch", "huge"], "there is no size 'huge'; the sizes are tiny, mini, small, base"),
        ([], "give one of them"),
        (["--model", "./nowhere"], "nowhere"),
        (["--scratch", "tiny", "--recipe", "poetry"], "there is no recipe 'poetry'"),
        (["--scratch", "tiny", "--layout", "poetry"], "poetry"),
    ],
)
def test_what_cannot_be_used_is_one_line(data, options, message, tmp_path):
    done = call(data, tmp_path / "run", *options)
    assert done.exit_code == 1 and message in done.stderr
    assert "Traceback" not in done.output and done.stdout == ""


def test_labels_of_a_list_stand_as_they_are_written(data, tmp_path):
    done = call(data, tmp_path / "run", "--model", data / "model", "--option", "labels=[yes, no]", "--steps", 1)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "longspan.json").read_text())["options"]["labels"] == ["yes", "no"]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_too_little_memory_is_said_by_whoever_lacks_it(data, tmp_path, monkeypatch, rank):
    def train(*arguments, **keywords):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte")

    monkeypatch.setattr("longspan.train.engine.train", train)
    monkeypatch.setenv("RANK", rank)
    done = call(data, tmp_path / "run", "--model", data / "model")
    assert done.exit_code == 1 and "Traceback" not in done.output
    assert "there is not enough memory; a smaller --batch or --set max_length" in " ".join(done.stderr.split())
    wrong = call(data, tmp_path / "run", "--model", data / "model", "--set", "clip=-1")
    assert wrong.exit_code == 1 and ("clip must not be negative" in wrong.stderr) == (rank == "0")


def test_an_unknown_task(data, tmp_path):
    done = call(data, tmp_path / "run", "--scratch", "tiny", task="poetry")
    assert done.exit_code == 1 and "there is no task 'poetry'; the tasks are classify, choose" in done.stderr


def test_a_bad_row_is_named(data, tmp_path):
    broken = tmp_path / "train.jsonl"
    broken.write_text((data / "train.jsonl").read_text() + "{half\n")
    arguments = ["train", "classify", "--data", str(broken), "--out", str(tmp_path / "run")]
    arguments += ["--model", str(data / "model"), "--steps", "1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1 and f"{broken}:25" in done.stderr.replace("\n", "")
    done = CliRunner().invoke(app, [*arguments, "--skip-bad"])
    assert done.exit_code == 0, done.output
    assert "bad rows left out" in done.stdout and f"{broken}:25" in done.stdout


def test_bad_rows_that_are_not_named_are_counted(capsys):
    bad = tuple(f"a.csv:{i}: bad" for i in range(20))
    for skipped, told in ((1230, True), (20, False)):
        _print(Result("out", 9, skipped, bad, 1, 1, {}, None, None, 0.0, []))
        assert ("and 1,210 more" in capsys.readouterr().out) == told


def test_steps_or_epochs(data, tmp_path):
    done = call(data, tmp_path / "run", "--scratch", "tiny", "--steps", 1, "--epochs", 1)
    assert done.exit_code == 2
