"""A training process is killed (SIGKILL) at random moments and while it writes; the end is that of an unharmed run."""

import json

import pytest

from tests._support import run_module

pytest.importorskip("accelerate")


@pytest.mark.parametrize(
    ("family", "seed"), [("Longformer", 0), pytest.param("Nystromformer", 1, marks=pytest.mark.slow)]
)
def test_a_killed_run_reaches_the_same_weights(family, seed, tmp_path):
    printed = run_module("tests.train.crash_worker", tmp_path, family, seed)
    report = json.loads(printed.splitlines()[-1])
    assert report["kills"] >= 4 and report["torn"] >= 2
    assert report["faults"] == []  # whatever has a checkpoint's name is whole
    assert report["killed"] == report["straight"]
