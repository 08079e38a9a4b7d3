"""A checkpoint is whole or it is not one."""

import json
import os

import pytest

from longspan.train.checkpoints import (
    MANIFEST,
    best_step,
    commit,
    find_fault,
    find_last,
    list_checkpoints,
    remove_old,
)


def save(folder, step):
    """A checkpoint with two files, one in a folder."""
    partial = folder / f".writing-checkpoint-{step}"
    (partial / "inner").mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(bytes([step]) * 1000)
    (partial / "inner" / "state.bin").write_bytes(os.urandom(10))
    commit(partial, folder / f"checkpoint-{step}", step)
    return folder / f"checkpoint-{step}"


def flip(path):
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(bytes(content))


FAULTS = {
    "no manifest": (lambda c: (c / MANIFEST).unlink(), "no manifest"),
    "half a manifest": (lambda c: (c / MANIFEST).write_text((c / MANIFEST).read_text()[:40]), "manifest is damaged"),
    "another manifest": (lambda c: (c / MANIFEST).write_text("[]"), "manifest is damaged"),
    "a missing file": (lambda c: (c / "inner" / "state.bin").unlink(), "inner/state.bin is missing"),
    "half a file": (lambda c: os.truncate(c / "model.safetensors", 500), "500 bytes instead of 1000"),
    "a changed bit": (lambda c: flip(c / "model.safetensors"), "model.safetensors has changed"),
}


def test_a_whole_one(tmp_path):
    checkpoint = save(tmp_path, 3)
    assert find_fault(checkpoint) is None
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]
    manifest = json.loads((checkpoint / MANIFEST).read_text())
    assert manifest["step"] == 3 and set(manifest["files"]) == {"model.safetensors", "inner/state.bin"}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_broken_one_is_passed_over(fault, tmp_path, caplog):
    save(tmp_path, 2)
    checkpoint = save(tmp_path, 10)
    spoil, message = FAULTS[fault]
    spoil(checkpoint)
    assert message in find_fault(checkpoint)
    assert find_last(tmp_path) == (2, tmp_path / "checkpoint-2")
    assert "checkpoint-10 is not resumed" in caplog.text
    assert checkpoint.exists()
    save(tmp_path, 10)  # the run comes by again and writes it anew
    assert find_last(tmp_path) == (10, checkpoint)


def test_only_names_count(tmp_path):
    save(tmp_path, 1).rename(tmp_path / ".writing-checkpoint-5")
    save(tmp_path, 1).rename(tmp_path / "checkpoint-6.old")
    assert find_last(tmp_path) is None and list_checkpoints(tmp_path) == []


def test_the_last_is_by_number(tmp_path):
    for step in (9, 100, 20):
        save(tmp_path, step)
    assert [step for step, _ in list_checkpoints(tmp_path)] == [100, 20, 9]


def test_old_ones_go_and_the_best_stays(tmp_path):
    for step in range(1, 7):
        save(tmp_path, step)
    remove_old(tmp_path, 2, best=3)
    assert [step for step, _ in list_checkpoints(tmp_path)] == [6, 5, 3]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(("greater", "expected"), [(True, 2), (False, 4)])
def test_the_best_step(greater, expected):
    scores = {0: 0.95, 1: 0.5, 2: 0.9, 3: 0.9, 4: 0.1, 5: float("nan"), 6: 0.99}
    history = [{"step": step, "eval_f1": score} for step, score in scores.items()] + [{"step": 1, "loss": 3.0}]
    # nothing was saved at step 0, and 6 is gone
    assert best_step(history, "f1", greater, range(1, 6)) == expected
    assert best_step(history, "accuracy", greater, range(1, 6)) is None
