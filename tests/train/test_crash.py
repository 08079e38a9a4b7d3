"""A training process is killed (SIGKILL) at random moments and while it writes; the end is that of an unharmed run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("family", "seed"), [("Longformer", 0), pytest.param("Nystromformer", 1, marks=pytest.mark.slow)]
)
def test_a_killed_run_reaches_the_same_weights(family, seed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.crash_worker", str(tmp_path), family, str(seed)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["kills"] >= 4 and report["torn"] >= 2
    assert report["faults"] == []  # whatever has a checkpoint's name is whole
    assert report["killed"] == report["straight"]
