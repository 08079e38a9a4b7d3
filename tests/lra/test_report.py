"""The table: groups, means, marks in the cell of the score, and what is no result."""

import dataclasses
import json

import pytest

from longspan.lra.listops import ListOpsRules
from longspan.lra.pathfinder_rules import published_rules
from longspan.lra.protocols import MODELS, PROTOCOLS, ROWS, list_changes, make_settings
from longspan.lra.report import find_results, make_lines, render


def result(
    task="listops",
    model="nystromformer",
    protocol="nystromformer",
    seed=0,
    accuracy=0.37,
    about=None,
    rows=None,
    hashed="a",
    **changes,
):
    settings = make_settings(task, protocol, changes)
    return {
        "task": task,
        "model": model,
        "protocol": protocol,
        "seed": seed,
        "steps": settings.steps,
        "accuracy": accuracy,
        "settings": dataclasses.asdict(settings),
        "changes": list_changes(task, protocol, model, settings),
        "about_data": about or {},
        "rows": rows or ROWS[task],
        "rows_sha256": hashed,
        "steps_per_second": 2.0 + seed,
        "peak_memory_bytes": (1 + seed) * 2**30,
        "hardware": "a CPU",
        "threads": 1,
    }


def cells(text):
    """The table, in its last column what differs, not the number of that."""
    notes = dict(line.split(". ", 1) for line in text.splitlines() if line[:1].isdigit())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [[*row[:-1], notes.get(row[-1], row[-1])] for row in rows]


def test_seeds_are_one_line_with_mean_and_spread():
    text = render([result(seed=1, accuracy=0.39), result(seed=0, accuracy=0.37)])
    header, _, row = cells(text)
    found = dict(zip(header, row, strict=True))
    assert found["Published"] == "37.15" and found["Measured"] == "38.00 ± 1.41"
    assert found["Seeds"] == "0, 1" and found["Steps/s"] == "2.50" and found["Memory"] == "2.00 GiB"
    assert found["Differs"] == ""


def test_fewer_steps_and_lossy_images_are_marked_in_the_same_cell():
    lossy = result("image", accuracy=0.4, about={"lossy": True}, steps=500, batch=64)
    row = cells(render([lossy]))[2]
    assert row[4] == "40.00 (500 of 35,000 steps; lossy images: not comparable)"
    assert "batch 64 instead of 256" in row[-1] and "steps" not in row[-1]


def test_other_settings_and_other_data_are_lines_of_their_own():
    generated = {"generated": True, "seed": 0, "rules": dataclasses.asdict(ListOpsRules())}
    runs = [result(), result(landmarks=128), result(about=generated), result(model="softmax"), result("text")]
    rows = cells(render(runs))[2:]
    assert len(rows) == 5 and [row[0] for row in rows] == ["ListOps"] * 4 + ["Text"]
    differs = {row[-1] for row in rows}
    assert {"landmarks 128 instead of 64", "rows generated here with seed 0"} <= differs


def test_what_differs_is_said_once_below_an_aligned_table():
    runs = [result(lr=0.001), result("text", "longformer", lr=0.001), result("image", batch=9)]
    text = render(runs)
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1
    assert [row.split("|")[-2].strip() for row in text.splitlines()[2:5]] == ["1", "1", "2"]
    assert "\nDiffers:\n\n1. lr 0.001 instead of 0.0001\n2. batch 9 instead of 256\n\nIn all" in text
    assert "Differs:" not in render([result()])


def test_only_seeds_make_a_spread():
    other_rows = result(seed=1, hashed="b"), result(seed=1, rows={**ROWS["listops"], "train": 9})
    assert [len(line.runs) for line in make_lines([result(), *other_rows])] == [1, 1, 1]
    again = result() | {"accuracy": 0.5}  # the seed is no other one
    assert sorted(len(line.runs) for line in make_lines([result(), again, result(seed=1)])) == [1, 2]


def test_easier_and_fewer_rows_are_named():
    rules = dataclasses.asdict(ListOpsRules(max_depth=5))
    text = render([result(about={"generated": True, "seed": 0, "rules": rules})])
    assert cells(text)[2][-1] == "rows generated here with seed 0, max_depth 5 instead of 10"
    rules = dataclasses.asdict(published_rules(32, "easy"))
    easy = result(
        "pathfinder32", about={"generated": True, "seed": 1, "rules": rules}, rows={"train": 9, "test": 20_000}
    )
    differs = cells(render([easy]))[2][-1]
    assert differs.startswith(
        "rows generated here with seed 1, strokes 6 instead of 14, distractor_strokes 2 instead of"
    )
    assert differs.endswith("; train rows 9 instead of 160,000")


def test_what_nobody_published_is_empty_and_the_protocol_explains_itself():
    text = render([result(model="longformer"), result("text", "longformer", "original")])
    assert [row[2:4] for row in cells(text)[2:]] == [
        ["Longformer, window 512, global tokens: 1", ""],
        ["Longformer, window 512, global tokens: 1", "62.85"],
    ]
    assert text.count("In all runs of the protocol") == 2


def test_results_are_found_in_files_runs_and_folders(tmp_path):
    for name, seed in (("runs/a/result.json", 0), ("runs/b/result.json", 1), ("kept/listops.json", 2)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(result(seed=seed)))
    (tmp_path / "runs/a/history.json").write_text("{}")
    (tmp_path / "runs/letters").mkdir()
    (tmp_path / "runs/letters/result.json").write_text('{"recipe": "small"}')  # of another training
    seeds = [r["seed"] for r in find_results([tmp_path / "runs", tmp_path / "kept", tmp_path / "runs/b/result.json"])]
    assert seeds == [0, 1, 2]  # the copy is no other run
    assert len(make_lines(find_results([tmp_path / "runs", tmp_path / "kept"]))) == 1
    assert [r["seed"] for r in find_results([tmp_path / "runs/b"])] == [1]


def test_no_result(tmp_path):
    with pytest.raises(ValueError, match="there is no result of a run"):
        find_results([tmp_path])
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ValueError, match=r"x\.json: this is no result of a run"):
        find_results([tmp_path / "x.json"])
    (tmp_path / "x.json").write_text('{"task": "lis')
    with pytest.raises(ValueError, match=r"x\.json: no JSON: Unterminated string"):
        find_results([tmp_path])


@pytest.mark.parametrize(
    "change",
    [
        {"settings": None},
        {"model": "bert"},
        {"task": "chess"},
        {"steps_per_second": None},
        {"about_data": {"generated": True}},
        {"about_data": {"generated": True, "seed": 0, "rules": {}}},
        {"rows": {"train": "many"}},
    ],
)
def test_a_damaged_result_is_named(change, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(result(model="nystromformer") | change))
    with pytest.raises(ValueError, match=r"x\.json: a damaged result"):
        find_results([tmp_path])


def test_changes_are_what_differs():
    settings = make_settings("text", "original", {"steps": 10, "lr": 0.1})
    changes = ["steps 10 instead of 20000", "lr 0.1 instead of 0.05"]
    assert list_changes("text", "original", "softmax", settings) == changes
    assert list_changes("text", "original", "longformer", PROTOCOLS["original"]["text"]) == []


def test_changes_are_those_that_the_model_has():
    settings = make_settings("text", "original", {"window": 8, "landmarks": 9, "attention_dropout": 0.3, "heads": 2})
    found = {model: list_changes("text", "original", model, settings) for model in MODELS}
    assert found["softmax"] == ["heads 2 instead of 4"]
    assert found["nystromformer"] == ["heads 2 instead of 4", "landmarks 9 instead of 64"]
    assert found["longformer"][1:] == ["attention_dropout 0.3 instead of 0.1", "window 8 instead of 512"]
