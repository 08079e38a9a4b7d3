"""A run that is killed (SIGKILL) at random moments ends like an unharmed one, to the last bit."""

import json

import pytest

from tests._support import run_module


@pytest.mark.parametrize("model", ["longformer", pytest.param("nystromformer", marks=pytest.mark.slow)])
def test_a_killed_run_reaches_the_same_weights_and_scores(model, tmp_path):
    report = json.loads(run_module("tests.lra.crash_worker", tmp_path, model, 0).splitlines()[-1])
    assert report["kills"] >= 3
    assert report["killed"] == report["straight"]
