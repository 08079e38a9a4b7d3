"""How things are measured: contenders run in turn, and only after their output was checked."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

RESULTS = Path(__file__).parent / "results"


@dataclass
class Contender:
    """Something that does the work.

    Attributes:
        name: how the tables call it.
        run: does the work once and returns the output to check.
        error: largest difference to the reference over the reference's largest value, once checked.
        seconds: wall-clock time of each repetition.
        cpu_seconds: CPU time of the process in each repetition.
    """

    name: str
    run: Callable[[], Tensor]
    error: float | None = None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def check(contenders: list[Contender], tolerance: float) -> None:
    """Compare every contender with the first one.

    Raises:
        RuntimeError: an output differs by more than ``tolerance``; nothing is timed then.
    """
    reference = contenders[0].run()
    scale = reference.abs().max().item()
    for contender in contenders:
        contender.error = (contender.run() - reference).abs().max().item() / scale
        if not contender.error <= tolerance:
            raise RuntimeError(
                f"{contender.name} differs from {contenders[0].name} by {contender.error:.2e} of the largest value "
                f"(allowed {tolerance:.0e}): no speed is reported"
            )


def time_in_turn(contenders: list[Contender], repetitions: int) -> None:
    """Time the contenders one after the other, ``repetitions`` times over, so that all meet the same disturbances."""
    if any(contender.error is None for contender in contenders):
        raise RuntimeError("a contender was not checked: no speed is reported")
    for _ in range(repetitions):
        for contender in contenders:
            start, cpu_start = time.perf_counter(), time.process_time()
            contender.run()
            contender.seconds.append(time.perf_counter() - start)
            contender.cpu_seconds.append(time.process_time() - cpu_start)


def ratios(slow: Contender, fast: Contender) -> dict[str, float]:
    """How many times faster ``fast`` is, over the repetitions: median, lower and upper quartile."""
    values = [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]
    if len(values) == 1:
        return {"median": values[0], "low": values[0], "high": values[0]}
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def matrix_rate(size: int = 2048, repetitions: int = 5) -> float:
    """The machine's float32 matrix-product rate, in floating-point operations per second, the best of some runs."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "matrix_rate_gflops": matrix_rate() / 1e9,
    }


def report(contenders: list[Contender]) -> list[dict[str, Any]]:
    """One row a contender: median times and the ratio to the last contender, which is ours."""
    return [
        {
            "name": contender.name,
            "error": contender.error,
            "median_ms": statistics.median(contender.seconds) * 1e3,
            "median_cpu_ms": statistics.median(contender.cpu_seconds) * 1e3,
            "times_slower_than_longspan": ratios(contender, contenders[-1]),
        }
        for contender in contenders
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows of :func:`report` as Markdown."""
    lines = ["| contender | median ms | CPU ms | longspan is faster by | error |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        ratio = row["times_slower_than_longspan"]
        lines.append(
            f"| {row['name']} | {row['median_ms']:.1f} | {row['median_cpu_ms']:.1f} "
            f"| {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}) | {row['error']:.1e} |"
        )
    return "\n".join(lines)


def save(name: str, result: dict[str, Any]) -> Path:
    """Write a result to ``benchmarks/results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def _processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
