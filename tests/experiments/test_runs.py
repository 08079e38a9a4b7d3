"""Baselines and runs from files to results, on made-up data."""

import pytest

from experiments import baselines, run
from experiments.results import read_results
from tests.experiments.small_data import write_data


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("LONGSPAN_DATA", str(write_data(tmp_path / "data")))


def test_baselines_of_every_kind_of_task(data, tmp_path):
    places = ["--made", str(tmp_path / "made"), "--results", str(tmp_path / "results")]
    baselines.main(["rte", "wnut17", "squad-articles", *places])
    results = read_results(tmp_path / "results")
    scores = {(name, row["system"]): row["test"] for name, found in results.items() for r in found for row in r["runs"]}
    assert scores["rte", "majority"]["accuracy"] == 0.5
    assert scores["rte", "TF-IDF, logistic regression"]["accuracy"] == 1
    assert scores["wnut17", "most frequent tag of a word"]["f1"] == 1
    assert scores["wnut17", "word features, logistic regression"]["f1"] == 1
    assert scores["squad-articles", "overlap of words"]["f1"] >= 50
    assert results["rte"][0]["rows"]["test"] == 8


def test_a_run_is_recorded_and_its_test_read_once(data, tmp_path, monkeypatch, capsys):
    places = [
        "--made",
        str(tmp_path / "made"),
        "--results",
        str(tmp_path / "results"),
        "--runs",
        str(tmp_path / "runs"),
    ]
    command = ["rte", "--family", "nystromformer", *places, "--", "--steps", "2", "--batch", "4"]
    run.main(command)
    (result,) = read_results(tmp_path / "results")["rte"]
    (row,) = result["runs"]
    assert row["steps"] == 2 and row["rows"]["test"] == 8 and 0 <= row["test"]["accuracy"] <= 1
    assert row["validation"]["accuracy"] >= 0
    assert result["start"] == {"scratch": "tiny", "layers": 2, "width": 128}
    assert "--steps 2 --batch 4 --seed 0" in row["commands"][0] and row["commands"][1].startswith("longspan evaluate")

    monkeypatch.setattr(run, "run_command", lambda command: pytest.fail(f"ran again: {command}"))
    run.main(command)
    with pytest.raises(RuntimeError, match="holds another run"):
        run.main([*command, "--lr", "1e-3"])


def test_a_failed_command_is_named(tmp_path, capsys):
    with pytest.raises(RuntimeError, match="exit code 1: longspan evaluate"):
        run.run_command(["longspan", "evaluate", str(tmp_path / "nothing"), str(tmp_path / "nothing.jsonl"), "--json"])
    assert "nothing" in capsys.readouterr().err


def test_a_checkpoint_is_of_one_family():
    with pytest.raises(SystemExit):
        run.main(["imdb", "--model", "somewhere"])


def test_commands_are_written_without_the_place_of_the_data(data, tmp_path):
    shown = run.show(["longspan", "evaluate", "runs/x", str(tmp_path / "data" / "test.tsv")])
    assert shown == "longspan evaluate runs/x $LONGSPAN_DATA/test.tsv"
