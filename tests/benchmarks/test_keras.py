"""The benchmark of the Keras classes at tiny sizes, and what it needs to build the old environment."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.__main__ import run_parts
from benchmarks.keras_old import PINS, old_python
from benchmarks.keras_worker import Worker
from benchmarks.measure import Contender
from benchmarks.parts.keras import OURS, Job, time_in_turn
from benchmarks.report import markdown
from benchmarks.results import load

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed (extra tf)")
def test_a_quick_run_measures_checks_and_is_reported(tmp_path):
    assert run_parts(("keras",), True, tmp_path) == []
    result = load(tmp_path, ("keras",))["keras"]
    beside, lengths = result["groups"]
    assert [row["name"] for row in beside["rows"]] == [OURS, f"{OURS}, jit_compile=True"]
    assert [row["name"] for row in lengths["rows"]] == [OURS, f"{OURS}, 1,024 tokens"]
    for row in beside["rows"] + lengths["rows"]:
        assert row["error"] <= 1e-5 and row["seconds"]["median"] > 0 and row["cpu_seconds"]["median"] > 0
    measures = result["measures"]
    assert "--old" in measures["keras.transformers"]["skipped"] and measures["keras.linear"]["median"] > 0
    if sys.platform == "linux":
        assert all("peak_bytes" in row for row in lengths["rows"]) and "median" in measures["keras.flat"]
    assert "`python -m benchmarks.keras`, 20" in markdown({"keras": result})


def test_a_process_that_ends_says_why(tmp_path):
    with (
        Worker(sys.executable, "nobody's", tmp_path, 1) as worker,
        pytest.raises(RuntimeError, match=r"ended with 1; .* KeyError: \"nobody's\""),
    ):
        worker.ask("facts")


def test_all_are_timed_in_turn():
    asked = []

    class Recorder:
        def ask(self, do, name):
            asked.append(name)
            return {"seconds": len(asked), "cpu_seconds": 2 * len(asked)}

    jobs = [Job(Contender(name, lambda: None), Recorder(), 8, {"name": name}) for name in "abc"]
    time_in_turn(jobs, 4)
    rounds = [asked[i : i + 3] for i in range(0, 12, 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds) and len(set(map(tuple, rounds))) > 1
    for job in jobs:
        places = [i + 1 for i, name in enumerate(asked) if name == job.contender.name]
        assert job.contender.seconds == places and job.contender.cpu_seconds == [2 * i for i in places]


def test_the_old_environment_is_built_once_and_apart(tmp_path, monkeypatch):
    commands = []

    def run(command, check, stdout):
        commands.append(command)
        if "-r" in command and len(commands) == 2:
            raise subprocess.CalledProcessError(1, command)
        Path(command[-1]).mkdir(parents=True, exist_ok=True) if "venv" in command else None

    monkeypatch.setattr("benchmarks.keras_old.subprocess.run", run)
    with pytest.raises(subprocess.CalledProcessError):
        old_python(tmp_path)
    python = old_python(tmp_path)
    assert python == old_python(tmp_path) and python.is_relative_to(tmp_path)
    assert len(commands) == 4  # begun anew after the failure, not built a third time
    assert commands[3] == [str(python), "-I", "-m", "pip", "install", "--no-deps", "-r", str(PINS)]


def test_the_old_environment_is_pinned_without_torch():
    lines = [line for line in PINS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert pins["transformers"].startswith("4.57.") and not {"torch", "tensorflow", "jax"} & set(pins)
    ours = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"tensorflow_cpu=={pins['tensorflow_cpu']}" in ours, "not the same TensorFlow"
