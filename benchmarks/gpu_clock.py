"""Time, memory and matrix rate on a CUDA device, within a budget; on a CPU the same, for a look whether it runs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from .measure import reason, spread


class Case(NamedTuple):
    """Something to measure.

    Attributes:
        work: does it once.
        check: gives its ``error``, and where gradients are timed their ``gradient_error``; raises where one is too
            large.
    """

    work: Callable[[], Any]
    check: Callable[[], dict[str, float]]


@dataclass
class Clock:
    """Measures works one after the other until the budget is spent.

    Attributes:
        device: where.
        quick: one repetition of each work.
        budget: seconds after which no further case is begun.
        rows: what was measured.
        left_out: what the budget did not reach.
    """

    device: torch.device
    quick: bool
    budget: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a CUDA device."""
        return self.device.type == "cuda"

    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.started

    def measure(
        self, part: str, tokens: int, name: str, prepare: Callable[[], Case], flops: float | None = None
    ) -> None:
        """Check, time, and add a row with seconds, peak memory and error, or with why there is no speed.

        Args:
            part, tokens, name: of the row.
            prepare: gives the case; its own time and memory do not count.
            flops: operations that the function needs, for the fraction of the matrix rate.
        """
        row: dict[str, Any] = {"part": part, "tokens": tokens, "name": name}
        if self.spent() > self.budget:
            self.left_out.append(f"{part}, {tokens} tokens, {name}")
            return
        try:
            self._fill(row, prepare(), flops)
        except Exception as error:  # out of memory, or a backend that cannot: the table says so
            row["skipped"] = reason(error)
        self.rows.append(row)
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()

    def _fill(self, row: dict[str, Any], case: Case, flops: float | None) -> None:
        row |= case.check()
        row["seconds"] = spread(self._time(case.work))
        row["peak_bytes"] = self._peak(case.work)
        if flops is not None:
            row["flops_per_second"] = flops / row["seconds"]["median"]

    def matrix_rate(self) -> float:
        """Operations per second of the best of some products of bfloat16 matrices."""
        size = 8192 if self.on_gpu else 128
        a, b = (torch.randn(size, size, device=self.device).to(torch.bfloat16) for _ in range(2))
        return 2 * size**3 / min(self._times(lambda: a @ b, 20 if self.on_gpu else 2))

    def _time(self, work: Callable[[], Any]) -> list[float]:
        work()
        first = self._times(work, 1)[0]
        if self.quick:
            return [first]
        # about a second of each, three times at least
        repetitions = max(3, min(50, int(1 / max(first, 1e-6))))
        if first < 0.1:
            self._times(work, 3)
        return self._times(work, repetitions)

    def _times(self, work: Callable[[], Any], repetitions: int) -> list[float]:
        if not self.on_gpu:
            seconds = []
            for _ in range(repetitions):
                start = time.perf_counter()
                work()
                seconds.append(time.perf_counter() - start)
            return seconds
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repetitions)]
        torch.cuda.synchronize()
        for start_event, end_event in events:
            start_event.record()
            work()
            end_event.record()
        torch.cuda.synchronize()
        return [start_event.elapsed_time(end_event) / 1e3 for start_event, end_event in events]

    def _peak(self, work: Callable[[], Any]) -> int | None:
        """Bytes that the work allocates at its peak above what is there before it."""
        if not self.on_gpu:
            return None
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
