"""A run that is killed (SIGKILL) at random moments ends like an unharmed one, to the last bit."""

import json

from tests._support import run_module


def test_a_killed_run_reaches_the_same_weights_and_scores(tmp_path):
    report = json.loads(run_module("tests.charlm.crash_worker", tmp_path, 0).splitlines()[-1])
    assert report["kills"] >= 3
    assert report["killed"] == report["straight"]
