"""Each task end to end at toy size: it learns, the result is complete, and a run resumes and refuses."""

import dataclasses
import json
import os

import numpy as np
import pytest
import torch

from longspan.lra.protocols import MODELS, PROTOCOLS, ROWS, TASKS, make_settings
from longspan.lra.rows import Rows
from longspan.lra.run import run_task
from longspan.tasks.examples import DataError
from longspan.train.identity import DifferentRun
from longspan.train.lock import BusyRun, hold
from tests.lra.toys import HELD_OUT, write_toys

# task, model, steps, and by how much the test accuracy is above that of the most frequent class
CASES = [
    ("listops", "softmax", 300, 0.15),
    ("listops", "longformer", 300, 0.15),
    ("text", "nystromformer", 60, 0.25),
    ("text", "longformer", 60, 0.25),
    ("retrieval", "nystromformer", 80, 0.2),
    ("image", "nystromformer", 120, 0.3),
    ("pathfinder32", "nystromformer", 60, 0.2),
    ("pathfinder64", "nystromformer", 60, 0.2),
]


@pytest.mark.parametrize(("task", "model", "steps", "margin"), CASES)
def test_a_task_is_learnt(task, model, steps, margin, tmp_path):
    changes = write_toys(task, tmp_path / "data") | {"steps": steps, "evaluate_every": steps // 2}
    told = []
    result = run_task(
        task, tmp_path / "data", tmp_path / "run", model=model, changes=changes, on_progress=lambda *at: told.append(at)
    )
    folder = tmp_path / ("data" if task.startswith("pathfinder") else "run/data") / "test"
    labels = Rows(folder).labels
    assert len(labels) == HELD_OUT == result["rows"]["test"]
    chance = np.bincount(labels).max() / len(labels)
    assert result["accuracy"] >= chance + margin, f"{result['accuracy']:.3f}, chance {chance:.3f}"
    assert told[-1][:3] == ("evaluate", HELD_OUT, HELD_OUT)
    assert {at[0] for at in told} >= {"train", "evaluate"}
    assert result == json.loads((tmp_path / "run/result.json").read_text())
    assert result["best_step"] in (steps // 2, steps) and result["steps_per_second"] > 0
    assert result["peak_memory_bytes"] > 2**20 and result["hardware"]
    assert f"steps {steps} instead of {PROTOCOLS['nystromformer'][task].steps}" in result["changes"]


@pytest.mark.parametrize("model", MODELS)
def test_the_original_protocol_learns(model, tmp_path):
    """A token in front instead of a mean, and a rate that never ends."""
    changes = write_toys("text", tmp_path / "data") | {"steps": 60, "evaluate_every": 30, "lr": 0.03}
    result = run_task("text", tmp_path / "data", tmp_path / "run", model=model, protocol="original", changes=changes)
    assert result["settings"]["pooling"] == "first" and result["settings"]["decay"] == "rsqrt"
    assert result["accuracy"] >= 0.75, result["accuracy"]  # classes are equally frequent


@pytest.fixture
def text(tmp_path):
    changes = write_toys("text", tmp_path / "data")
    return tmp_path / "data", changes | {"steps": 12, "evaluate_every": 4, "dropout": 0.1, "warmup": 2}


def weights(out):
    return torch.load(out / "checkpoint.pt", weights_only=True)["objective"]


def test_a_finished_run_is_not_run_again(text, tmp_path, monkeypatch):
    data, changes = text
    first = run_task("text", data, tmp_path / "run", model="softmax", changes=changes)
    monkeypatch.setattr("longspan.lra.run._Run._make_trainer", None)
    assert run_task("text", data, tmp_path / "run", model="softmax", changes=changes) == first


def test_seeds_and_models_differ(text, tmp_path):
    data, changes = text
    for name, model, seed in (("a", "softmax", 0), ("b", "softmax", 0), ("c", "softmax", 1)):
        run_task("text", data, tmp_path / name, model=model, seed=seed, changes=changes)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_encoded_rows_of_another_run_are_taken_as_they_are(text, tmp_path):
    data, changes = text
    first = run_task("text", data, tmp_path / "a", model="softmax", changes=changes)
    second = run_task("text", tmp_path / "a/data", tmp_path / "b", model="softmax", changes=changes)
    assert second["accuracy"] == first["accuracy"] and not (tmp_path / "b/data").exists()
    with pytest.raises(DataError, match="have up to 64 tokens, but max_length is 32"):
        run_task("text", tmp_path / "a/data", tmp_path / "c", model="softmax", changes=changes | {"max_length": 32})
    with pytest.raises(DataError, match="rows of text, not of listops"):
        run_task("listops", tmp_path / "a/data", tmp_path / "d", model="softmax", changes={"steps": 2, "warmup": 1})


def test_a_run_with_other_arguments_is_another_run(text, tmp_path):
    data, changes = text
    run_task("text", data, tmp_path / "run", model="softmax", changes=changes)
    with pytest.raises(ValueError, match=r"model was \"softmax\", is \"longformer\"; width was 32, is 16"):
        run_task("text", data, tmp_path / "run", model="longformer", changes=changes | {"width": 16})


def test_rows_that_changed_in_their_place_are_another_run(tmp_path):
    changes = write_toys("pathfinder32", tmp_path / "data") | {"steps": 2, "evaluate_every": 1, "warmup": 1}
    changes |= {"max_length": 1024, "evaluate_rows": 8}
    given = {"model": "softmax", "changes": changes}
    run_task("pathfinder32", tmp_path / "data", tmp_path / "run", **given)
    (tmp_path / "run/result.json").unlink()  # as if it had been killed
    labels = tmp_path / "data/validation/labels.npy"
    np.save(labels, 1 - np.load(labels))
    with pytest.raises(DifferentRun, match=r"rows_sha256 was .*, is "):
        run_task("pathfinder32", tmp_path / "data", tmp_path / "run", **given)


def test_a_run_that_diverged_has_no_result(text, tmp_path):
    data, changes = text
    with pytest.raises(ValueError, match="is nan: the training diverged; begin anew with a lower learning rate"):
        run_task("text", data, tmp_path / "run", model="softmax", changes=changes | {"lr": 1e30, "warmup": 0})
    assert not (tmp_path / "run/result.json").exists()


def test_a_folder_in_which_nothing_could_begin_is_free_for_other_arguments(text, tmp_path):
    data, changes = text
    with pytest.raises(FileNotFoundError):
        run_task("text", tmp_path / "nowhere", tmp_path / "run", model="softmax", changes=changes)
    with pytest.raises(ValueError, match="device 'abacus' cannot be used here"):
        run_task("text", data, tmp_path / "run", model="softmax", changes=changes, device="abacus")
    assert run_task("text", data, tmp_path / "run", model="softmax", changes=changes)["steps"] == 12


def test_rows_that_another_attempt_has_left_are_not_taken_for_those_of_the_data(text, tmp_path):
    data, changes = text
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.jsonl").write_bytes((data / "train.jsonl").read_bytes())
    with pytest.raises(FileNotFoundError):
        run_task("text", other, tmp_path / "run", model="softmax", changes=changes)
    with pytest.raises(DataError, match=r"run/data/train: its rows have source .*other, not .*data: remove"):
        run_task("text", data, tmp_path / "run", model="softmax", changes=changes)
    (other / "test.jsonl").write_bytes((data / "test.jsonl").read_bytes())
    with pytest.raises(DataError, match="its rows have max_length 64, not 32"):
        run_task("text", other, tmp_path / "run", model="softmax", changes=changes | {"max_length": 32})
    run_task("text", other, tmp_path / "run", model="softmax", changes=changes)


def test_a_second_command_leaves_the_first_alone(text, tmp_path):
    data, changes = text
    writing = tmp_path / "run" / ".writing-checkpoint.pt"
    writing.parent.mkdir()
    writing.touch()
    with hold(tmp_path / "run"), pytest.raises(BusyRun, match=f"in use by process {os.getpid()}"):
        run_task("text", data, tmp_path / "run", model="softmax", changes=changes)
    assert writing.exists()


def test_drawn_pictures_are_of_their_task(tmp_path):
    changes = write_toys("pathfinder32", tmp_path / "data") | {"steps": 2, "evaluate_every": 1, "warmup": 1}
    for task in ("image", "pathfinder64"):
        with pytest.raises(DataError, match=f"rows of pathfinder32, not of {task}"):
            run_task(task, tmp_path / "data", tmp_path / "run", model="softmax", changes=changes)


def test_lossy_pictures_are_marked(tmp_path):
    pytest.importorskip("PIL")
    from PIL import Image

    for part, number in (("train", 40), ("test", 20)):
        for i in range(number):
            path = tmp_path / "data" / part / ("cat", "ship")[i % 2] / f"{i:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 32, 3), 200 * (i % 2), np.uint8)).save(path)
    changes = {"max_length": 64, "padded_length": 64, "steps": 2, "warmup": 1, "batch": 4, "width": 8, "heads": 1}
    result = run_task("image", tmp_path / "data", tmp_path / "run", model="softmax", changes=changes)
    assert result["about_data"]["lossy"] is True


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "bert"}, "model must be one of longformer, nystromformer, softmax, got 'bert'"),
        ({"protocol": "mine"}, "protocol must be one of nystromformer, original, got 'mine'"),
        ({"seed": -1}, "seed must not be negative"),
        ({"changes": {"depth": 2}}, "there is no setting depth; there are max_length"),
        ({"changes": {"warmup": 9, "steps": 9}}, "warmup must be below steps, got 9 and 9"),
        ({"changes": {"max_length": 9000}}, "padded_length must be at least max_length"),
        ({"changes": {"pooling": "max"}}, "pooling must be one of mean, first"),
        ({"changes": {"dropout": 1.0}}, "dropout must be at least 0 and below 1"),
        ({"changes": {"heads": 3}}, "width must be a multiple of heads, got 64 and 3"),
        ({"changes": {"convolution": 4}}, "convolution must be odd, or 0 for none, got 4"),
        ({"changes": {"landmarks": 0}}, "landmarks must be at least 1, got 0"),
        ({"changes": {"beta2": 2}}, r"beta2 must be at least 0 and below 1, got 2\.0"),
        ({"changes": {"warmup": 0}, "protocol": "original"}, "warmup must be at least 1 where decay is rsqrt, got 0"),
        ({"changes": {"epsilon": 0}}, r"epsilon must be a number above 0, got 0\.0"),
        ({"changes": {"lr": float("inf")}}, "lr must be a number above 0, got inf"),
        ({"changes": {"weight_decay": float("nan")}}, "weight_decay must be a number of at least 0, got nan"),
    ],
)
def test_what_is_refused(given, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_task("listops", tmp_path, tmp_path / "run", **{"model": "softmax", **given})
    assert not (tmp_path / "run").exists()


def test_a_setting_of_another_type():
    with pytest.raises(TypeError, match=r"steps must be of type int, got 2\.5"):
        make_settings("text", "original", {"steps": 2.5})
    assert make_settings("text", "original", {"lr": 1}).lr == 1.0


def test_protocols_hold_what_was_published():
    assert all(tuple(tasks) == TASKS for tasks in PROTOCOLS.values())
    small = PROTOCOLS["nystromformer"]
    table = {task: (s.batch, s.steps, s.warmup, s.evaluate_every) for task, s in small.items()}
    assert table["listops"] == (32, 5000, 1000, 50) and table["text"] == (32, 20000, 8000, 500)
    assert table["retrieval"] == (32, 30000, 800, 300) and table["image"] == (256, 35000, 175, 175)
    assert table["pathfinder32"] == (256, 62400, 312, 312)
    for settings in small.values():
        assert (settings.layers, settings.heads, settings.width, settings.hidden) == (2, 2, 64, 128)
        assert settings.lr == 1e-4 and settings.pooling == "mean"
    original = PROTOCOLS["original"]
    for task, epochs in (("image", 200), ("pathfinder32", 200), ("pathfinder64", 200)):
        assert original[task].steps == ROWS[task]["train"] // original[task].batch * epochs
    assert original["listops"].highest_lr == pytest.approx(0.05 / 1000**0.5)
    assert dataclasses.replace(original["retrieval"], steps=10).warmup == 8000  # it never ends
