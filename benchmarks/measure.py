"""How speeds are measured: contenders run in turn, in one process, and only after their output was checked."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Contender:
    """Something that does the work.

    Attributes:
        name: how the tables call it.
        run: does the work once; what is timed.
        expected: what the work has to give, or None where no other implementation of the function exists: then the
            output has to be finite, and of the shape ``shape``.
        against: what ``expected`` comes from, in words.
        outcome: gives the tensor to check where that is not what ``run`` returns.
        tolerance: largest difference to ``expected`` that is allowed, over the largest value of ``expected``.
        shape: shape of the output, where nothing is expected.
        flops: floating-point operations that the function needs, for the attained fraction of the matrix rate.
        memory: a case for :func:`benchmarks.fresh.fresh` that does the same work, to take its peak memory.
        optional: it may fail to run (a missing compiler, another device): that is reported instead of a speed.
        checked: whether its output was found right.
        error: the difference that was found, None where nothing was expected.
        skipped: why it did not run.
        seconds, cpu_seconds: wall-clock time and CPU time of the process, a value for each repetition.
    """

    name: str
    run: Callable[[], Tensor]
    expected: Callable[[], Tensor] | None = None
    against: str = ""
    outcome: Callable[[], Tensor] | None = None
    tolerance: float = 1e-5
    shape: Sequence[int] | None = None
    flops: float | None = None
    memory: tuple[str, dict[str, Any]] | None = None
    optional: bool = False
    checked: bool = False
    error: float | None = None
    skipped: str | None = None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def check(contenders: Sequence[Contender]) -> None:
    """Check the output of every contender.

    Raises:
        RuntimeError: an output is wrong; nothing is timed then.
        ValueError: a contender says neither what is expected of it nor which shape.
    """
    for contender in contenders:
        if contender.expected is None and contender.shape is None:
            raise ValueError(f"{contender.name} needs expected or shape: without a check it gets no speed")
        try:
            output = (contender.outcome or contender.run)()
        except Exception as error:
            if not contender.optional:
                raise
            contender.skipped = reason(error)
            continue
        expected = contender.expected() if contender.expected is not None else None
        shape = tuple(contender.shape or ()) if expected is None else tuple(expected.shape)
        if tuple(output.shape) != shape:
            raise RuntimeError(f"{contender.name} gave the shape {tuple(output.shape)}, not {shape}: no speed")
        if not torch.isfinite(output).all():
            raise RuntimeError(f"the output of {contender.name} is not finite: no speed is reported")
        if expected is not None:
            _compare(contender, output, expected)
        contender.checked = True


def _compare(contender: Contender, output: Tensor, expected: Tensor) -> None:
    scale = max(expected.abs().max().item(), torch.finfo(torch.float32).tiny)
    contender.error = (output.to(expected.dtype) - expected).abs().max().item() / scale
    if not contender.error <= contender.tolerance:
        raise RuntimeError(
            f"{contender.name} differs from {contender.against} by {contender.error:.2e} of the largest value "
            f"(allowed {contender.tolerance:.0e}): no speed is reported"
        )


def reason(error: Exception) -> str:
    """An exception in one short line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]


def time_in_turn(contenders: Sequence[Contender], repetitions: int) -> None:
    """Time the contenders one after the other, ``repetitions`` times over, each time in another order.

    So all meet the same disturbances, and none always finds the caches as one and the same neighbour left them.

    Raises:
        RuntimeError: a contender's output was not checked; nothing is timed then.
    """
    for contender in contenders:
        if not contender.checked and contender.skipped is None:
            raise RuntimeError(f"the output of {contender.name} was not checked: no speed is reported")
    running = [contender for contender in contenders if contender.checked]
    order = random.Random(0)
    gc.collect()
    gc.freeze()  # what is there by now is not searched for garbage again, neither between the runs nor in them
    try:
        for _ in range(repetitions):
            for contender in order.sample(running, len(running)):
                start, cpu_start = time.perf_counter(), time.process_time()
                contender.run()
                contender.seconds.append(time.perf_counter() - start)
                contender.cpu_seconds.append(time.process_time() - cpu_start)
            gc.collect()
    finally:
        gc.unfreeze()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lower and upper quartile."""
    if len(values) == 1:
        return {"median": values[0], "low": values[0], "high": values[0]}
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def ratios(numerator: Contender, denominator: Contender) -> list[float]:
    """The time of one contender over the time of the other, repetition by repetition; empty if one was skipped."""
    if numerator.skipped is not None or denominator.skipped is not None:
        return []
    return [a / b for a, b in zip(numerator.seconds, denominator.seconds, strict=True)]


def growth(contenders: Sequence[Contender], lengths: Sequence[int]) -> list[float]:
    """Largest over smallest cost per token among passes of different lengths, repetition by repetition.

    Which two they are is decided by the medians of the costs over that of the first length in the same repetition, so
    that noise cannot pick them anew in each repetition, nor a slow minute of the machine that fell on one length.
    """
    first, costs = contenders[0], []
    for contender, length in zip(contenders, lengths, strict=True):
        costs.append([ratio * lengths[0] / length for ratio in ratios(contender, first)])
    by_median = sorted(costs, key=statistics.median)
    return [a / b for a, b in zip(by_median[-1], by_median[0], strict=True)]
