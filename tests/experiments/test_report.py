"""The page of results says what the result files say."""

import json
from pathlib import Path

import pytest

from experiments.catalog import EXPERIMENTS
from experiments.report import (
    END,
    START,
    best_baseline,
    by_system,
    charlm_table,
    fill,
    mean,
    pages,
    runs_table,
    scores_table,
)
from experiments.results import FOLDER, read_results, write_result

RTE = EXPERIMENTS["rte"]


def run(system, validation, test, **more):
    return {
        "system": system,
        "validation": {"accuracy": validation},
        "test": {"accuracy": test},
        "cpu_seconds": 90.0,
        **more,
    }


RESULTS = {
    "rte": [
        {
            "experiment": "rte",
            "command": "python -m experiments.baselines rte",
            "commit": "abc",
            "runs": [run("majority", 0.5, 0.51), run("one", 0.5, 0.8), run("two", 0.6, 0.55)],
        },
        {
            "experiment": "rte",
            "command": "python -m experiments.run rte --family longformer",
            "commit": "abc",
            "start": {"scratch": "tiny", "layers": 2, "width": 128},
            "runs": [run("longformer", 0.6, 0.5, commit="x"), run("longformer", 0.6, 0.6, commit="y")],
        },
    ]
}


def test_the_committed_pages_agree_with_the_result_files():
    for path, tables in pages().items():
        page = path.read_text(encoding="utf-8")
        assert fill(page, tables) == page, "run: python -m experiments.report"


def test_every_result_file_says_where_it_comes_from():
    results = read_results()
    assert results
    for name, found in results.items():
        for result in found:
            assert result["file"].startswith(f"{name}.") and name in EXPERIMENTS
            assert {"command", "commit", "date", "machine", "runs"} <= set(result)
            for row in result["runs"]:
                assert {"system", "seed", "validation", "test"} <= set(row)
                assert EXPERIMENTS[name].metrics[0] in row["test"]
            seeds = {row["seed"] for row in result["runs"]}
            assert seeds == set(EXPERIMENTS[name].seeds), result["file"]


def test_no_result_file_names_a_place_of_a_machine():
    for path in FOLDER.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "/tmp" not in text and "/work" not in text and "/home" not in text, path.name


def test_the_baseline_is_chosen_by_validation_and_not_by_test():
    assert best_baseline(RTE, by_system(RESULTS["rte"][:1])) == "two"
    (row,) = scores_table(RESULTS)[2:]
    assert row == "| GLUE RTE | accuracy | 51.0 | 55.0 | 55.0 ± 7.1 |  |  |"


def test_each_system_has_a_line_with_its_cost_and_command():
    rows = runs_table(RESULTS)[2:]
    assert len(rows) == 4
    assert rows[3] == (
        "| GLUE RTE | Longformer, new weights, 2 layers of 128 | 2 | 60.0 ± 0.0 | 55.0 ± 7.1 | 1.5 | x, y "
        "| `python -m experiments.run rte --family longformer` |"
    )


def test_scores_in_percent_stay():
    rows = [{"test": {"f1": 23.6}}]
    assert mean(EXPERIMENTS["squad-articles"], rows, "f1") == "23.6"
    assert mean(EXPERIMENTS["mrpc"], [{"test": {"f1": 0.236}}], "f1") == "23.6"
    assert mean(RTE, [], "accuracy") == ""


def test_tables_stand_between_their_markers():
    page = "".join(f"# {name}\n\n{START.format(name)}\nold\n{END.format(name)}\nafter\n" for name in ("scores", "runs"))
    tables = {"scores": scores_table(RESULTS), "runs": runs_table(RESULTS)}
    filled = fill(page, tables)
    assert "old" not in filled and filled.count("after") == 2 and "| GLUE RTE | majority" in filled
    assert fill(filled, tables) == filled
    with pytest.raises(ValueError, match="start of runs"):
        fill(page.replace("start of runs", "begin of runs"), tables)


def test_each_character_model_has_a_line(tmp_path: Path):
    contexts = [{"length": length, "bits_per_character": 3 - length / 1e5} for length in (256, 1024, 2048, 8192)]
    run = {"about": "full attention", "test": {"bits_per_character": 2.7182}, "contexts": contexts}
    run |= {"steps": 1234, "cpu_seconds": 3300.0, "commit": "abc"}
    content = {"text": "enwiki", "variants": {"full": run}}
    (tmp_path / "charlm-enwiki.json").write_text(json.dumps(content), encoding="utf-8")
    (row,) = charlm_table(tmp_path)[2:]
    assert row == "| enwiki | full attention | 2.718 | 2.997 | 2.990 | 2.918 |  | 1,234 | 55 | abc |"


def test_a_result_is_read_as_it_was_written(tmp_path: Path):
    runs = RESULTS["rte"][1]["runs"]
    path = write_result("rte", "longformer", "a command", runs, "abc", tmp_path, start={"model": "x"})
    assert path.name == "rte.longformer.json"
    ((found,),) = read_results(tmp_path).values()
    assert found["runs"] == runs and found["commit"] == "abc" and found["start"] == {"model": "x"}
    assert found["machine"]["torch"] and json.loads(path.read_text())["date"].endswith("UTC")
