"""Peak memory and time of one piece of work in a process of its own.

An allocator that was used before hides a peak, and a contender that fails for lack of memory must not take the others
with it: so each contender and length gets a new process, with a time limit and a memory limit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .memory import Peak

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Work:
    """What a case consists of.

    Attributes:
        warm: a small run of the same code, in which the libraries allocate what is theirs.
        run: the work, which is timed and whose peak is taken; returns a tensor that has to be finite.
        check: given what ``run``, or the last ``warm``, returned, how far it is from what it has to be, over the
            largest value; raises where that is too far. None: only the memory is told, no time.
    """

    warm: Callable[[], Tensor]
    run: Callable[[], Tensor]
    check: Callable[[Tensor], float] | None = None


def fresh(
    case: str,
    arguments: dict[str, Any],
    warm_runs: int = 1,
    seconds: float = 600,
    gigabytes: float = 18,
    here: bool = False,
) -> dict[str, Any]:
    """Do a case in a new process.

    Args:
        case: ``module:function`` of a function that returns :class:`Work`.
        arguments: the function's, as JSON can hold them.
        warm_runs: how often the small run is done, and timed.
        seconds: time limit of the whole process.
        gigabytes: limit of its data.
        here: do it in this process after all, without limits (to see quickly that it runs).

    Returns:
        ``peak_bytes`` and ``shape``, and where the outputs could be checked ``seconds``, ``warm_seconds`` (a list) and
        ``error``; or ``stopped``: why it did not finish.
    """
    order = {"case": case, "arguments": arguments, "warm_runs": warm_runs, "threads": torch.get_num_threads()}
    if here:
        return _do(order)
    order["gigabytes"] = gigabytes
    command = [sys.executable, "-m", "benchmarks.fresh", json.dumps(order)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"stopped": f"took over {seconds:g} s"}
    if done.returncode < 0:
        return {"stopped": f"killed by signal {-done.returncode}"}
    if done.returncode:
        return {"stopped": _explain((done.stderr.strip().splitlines() or ["no message"])[-1], gigabytes)}
    return json.loads(done.stdout.splitlines()[-1])


def _explain(message: str, gigabytes: float) -> str:
    """The last line of a traceback, in words where it is about memory."""
    asked = re.search(r"tried to allocate (\d+) bytes", message)
    if asked:
        return f"out of memory at {gigabytes:g} GB (asked for {int(asked[1]) / 1e9:.1f} GB in one piece)"
    return f"out of memory at {gigabytes:g} GB" if "MemoryError" in message else message[:200]


def _do(order: dict[str, Any]) -> dict[str, Any]:
    module, _, function = order["case"].partition(":")
    work: Work = getattr(import_module(module), function)(**order["arguments"])
    warm, errors = [], []
    for number in range(order["warm_runs"]):
        start = time.perf_counter()
        output = work.warm()
        warm.append(time.perf_counter() - start)
        if work.check is not None and number == order["warm_runs"] - 1:
            errors.append(work.check(output))
        del output  # it would count as free memory of the run
    with Peak() as peak:
        start = time.perf_counter()
        output = work.run()
        seconds = time.perf_counter() - start
    if not all(torch.isfinite(part).all() for part in output.detach().reshape(-1).split(1 << 24)):
        raise RuntimeError("the output is not finite: nothing is reported")
    done = {"peak_bytes": peak.bytes, "shape": list(output.shape)}
    if work.check is None:
        return done
    errors.append(work.check(output))
    return {**done, "seconds": seconds, "warm_seconds": warm, "error": max(errors)}


def _main() -> None:
    order = json.loads(sys.argv[1])
    if sys.platform == "linux":
        import resource

        # data, not address space: torch reserves more addresses than it ever touches
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = int(order["gigabytes"] * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
    torch.set_num_threads(order["threads"])
    sys.stdout.write("\n" + json.dumps(_do(order)) + "\n")


if __name__ == "__main__":
    _main()
