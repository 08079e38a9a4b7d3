"""Peak memory in a process of its own, and the reasons why one did not finish."""

import sys
import time

import pytest
import torch

from benchmarks.fresh import Peak, Work, fresh

MIB = 2**20
CASE = "tests.benchmarks.test_fresh:working"
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read and limited through Linux")


def allocate(mebibytes):
    return torch.ones(mebibytes * MIB // 4).sum()


def working(mebibytes=1, value=0.0, seconds=0.0):
    """A case that holds so many MiB and takes so long."""

    def run():
        time.sleep(seconds)
        return allocate(mebibytes) + value

    return Work(lambda: allocate(1), run)


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
    assert done["shape"] == [] and done["seconds"] > 0 and len(done["warm_seconds"]) == 2


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
