"""Peak memory in a process of its own, and the reasons why one did not finish."""

import sys
import time

import pytest
import torch

from benchmarks.fresh import Work, fresh
from benchmarks.memory import Peak

MIB = 2**20
CASE = "tests.benchmarks.test_fresh:working"
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read and limited through Linux")


def allocate(mebibytes):
    return torch.ones(mebibytes * MIB // 4).sum()


def working(mebibytes=1, value=0.0, seconds=0.0, check=True):
    """A case that holds so many MiB and takes so long; its check takes 500 MiB."""

    def run():
        time.sleep(seconds)
        return allocate(mebibytes) + value

    def compare(output):
        allocate(500)
        assert output == MIB // 4 * (mebibytes if output > MIB // 4 else 1), "wrong sum"
        return 0.25

    return Work(lambda: allocate(1), run, compare if check else None)


@linux
def test_the_peak_is_what_the_block_needed():
    with Peak() as peak:
        allocate(200)
    assert 195 * MIB < peak.bytes < 230 * MIB
    with Peak() as peak:
        allocate(100)
    assert 95 * MIB < peak.bytes < 130 * MIB, "the first block's peak is still there"


@linux
def test_a_fresh_process_reports_time_shape_and_peak():
    done = fresh(CASE, {"mebibytes": 300}, warm_runs=2)
    assert 295 * MIB < done["peak_bytes"] < 340 * MIB
    assert done["shape"] == [] and done["error"] == 0.25 and len(done["warm_seconds"]) == 2
    assert done["seconds"] > 0


def test_the_check_is_not_timed(monkeypatch):
    now = [0.0]

    def passing(seconds):
        def work(*_):
            now[0] += seconds
            return torch.tensor(seconds)

        return work

    monkeypatch.setattr("benchmarks.fresh.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(f"{__name__}.working", lambda: Work(passing(1.0), passing(3.0), passing(100.0)))
    done = fresh(CASE, {}, warm_runs=2, here=True)
    assert now == [205.0] and done["seconds"] == 3.0 and done["warm_seconds"] == [1.0, 1.0]


def test_without_a_check_there_is_no_time():
    assert set(fresh(CASE, {"check": False}, here=True)) == {"peak_bytes", "shape"}


def test_a_wrong_output_is_no_result():
    with pytest.raises(AssertionError, match="wrong sum"):
        fresh(CASE, {"value": 1.0}, here=True)
    assert "wrong sum" in fresh(CASE, {"value": 1.0})["stopped"]


@linux
def test_a_process_without_memory_says_so():
    done = fresh(CASE, {"mebibytes": 3000}, gigabytes=2)
    assert done == {"stopped": "out of memory at 2 GB (asked for 3.1 GB in one piece)"}


def test_a_process_that_takes_too_long_is_stopped():
    assert fresh(CASE, {"seconds": 60}, seconds=0.5) == {"stopped": "took over 0.5 s"}


def test_an_output_that_is_not_finite_is_no_result():
    with pytest.raises(RuntimeError, match="not finite"):
        fresh(CASE, {"value": float("nan")}, here=True)
    assert "not finite" in fresh(CASE, {"value": float("inf")})["stopped"]
