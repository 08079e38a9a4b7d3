"""A part's run: its groups of contenders, its single measures, and the JSON file they become."""

from __future__ import annotations

import datetime
import json
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .fresh import fresh
from .machine import commit, machine, matrix_rate
from .measure import Contender, check, ratios, spread, time_in_turn

RESULTS = Path(__file__).parent / "results"


@dataclass
class Run:
    """One run of one part.

    Attributes:
        part: its name.
        quick: tiny sizes, to see that it runs; nothing is saved among the results.
        rate: best float32 matrix rate seen so far in this run, in operations per second.
        groups: tables of contenders.
        measures: single values by key, which ``benchmarks.bars`` reads.
        notes: sentences for the report.
        command: that runs the part, where it is not ``python -m benchmarks PART``.
    """

    part: str
    quick: bool = False
    rate: float = 0.0
    groups: list[dict[str, Any]] = field(default_factory=list)
    measures: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    command: str | None = None
    started: float = field(default_factory=time.perf_counter)

    def compare(self, title: str, contenders: Sequence[Contender], repetitions: int, baseline: Contender) -> None:
        """Check the contenders, time them in turn, take their peak memory, and add their table.

        Args:
            title: of the table.
            repetitions: of the timing; 2 in a quick run.
            baseline: the contender that the others' times are divided by.
        """
        self.say(title)
        check(contenders)
        self.refresh_rate()
        time_in_turn(contenders, 2 if self.quick else repetitions)
        self.refresh_rate()
        self.tabulate(title, contenders, baseline, [self.memory(contender) for contender in contenders])

    def tabulate(
        self, title: str, contenders: Sequence[Contender], baseline: Contender, memory: Sequence[dict[str, Any]]
    ) -> None:
        """Add the table of contenders that were checked and timed; ``memory`` is what :func:`fresh` said of each."""
        rows = [self._row(c, baseline, m) for c, m in zip(contenders, memory, strict=True)]
        self.groups.append(
            {"title": title, "baseline": baseline.name, "repetitions": len(baseline.seconds), "rows": rows}
        )

    def memory(self, contender: Contender) -> dict[str, Any]:
        """Peak memory of a contender's case, from a fresh process."""
        if contender.memory is None or contender.skipped is not None:
            return {}
        case, arguments = contender.memory
        return fresh(case, arguments, here=self.quick)

    def refresh_rate(self) -> None:
        """Measure the matrix rate again; the best counts."""
        self.rate = max(self.rate, matrix_rate(256 if self.quick else 2048))

    def measure(self, key: str, values: Sequence[float]) -> None:
        """Note a value for the table of bars, from one or several repetitions; none: it could not be measured."""
        if values:
            self.measures[key] = {**spread(values), "repetitions": len(values)}

    def measure_peaks(self, key: str, ours: Contender, theirs: Contender) -> None:
        """Note the peak memory of one contender of the last group over that of another."""
        rows = {row["name"]: row for row in self.groups[-1]["rows"]}
        found = [rows[contender.name] for contender in (ours, theirs)]
        missing = [
            row.get("memory_stopped", "peak memory is known on Linux only") for row in found if "peak_bytes" not in row
        ]
        if missing:
            self.skip(key, missing[0])
        else:
            self.measure(key, [found[0]["peak_bytes"] / max(1, found[1]["peak_bytes"])])

    def skip(self, key: str, why: str) -> None:
        """Note why a value is missing."""
        self.measures[key] = {"skipped": why}

    def say(self, text: str) -> None:
        """A line of progress."""
        sys.stderr.write(f"[{self.part} {time.perf_counter() - self.started:5.0f} s] {text}\n")

    def _row(self, contender: Contender, baseline: Contender, memory: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {"name": contender.name, "check": contender.against or "finite, right shape"}
        if contender.skipped is not None:
            return {**row, "skipped": contender.skipped}
        row |= {
            "error": contender.error,
            "seconds": spread(contender.seconds),
            "cpu_seconds": spread(contender.cpu_seconds),
            "over_baseline": spread(ratios(contender, baseline)),
        }
        if contender.flops is not None:
            row["fraction_of_matrix_rate"] = contender.flops / statistics.median(contender.seconds) / self.rate
        if memory.get("peak_bytes") is not None:
            row["peak_bytes"] = memory["peak_bytes"]
        if "stopped" in memory:
            row["memory_stopped"] = memory["stopped"]
        return row

    def finish(self, folder: Path) -> Path:
        """Write ``folder/PART.json``."""
        if not self.rate:
            self.refresh_rate()
        return self._write(folder, {"notes": self.notes, "groups": self.groups, "measures": self.measures})

    def fail(self, folder: Path, why: str) -> Path:
        """Write ``folder/PART.json`` without any figure, so that those of an earlier run do not stand for this one."""
        return self._write(folder, {"failed": why, "notes": [], "groups": [], "measures": {}})

    def _write(self, folder: Path, found: dict[str, Any]) -> Path:
        result = {
            "part": self.part,
            **({} if self.command is None else {"command": self.command}),
            "quick": self.quick,
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": commit(),
            "minutes": (time.perf_counter() - self.started) / 60,
            "machine": {**machine(), "matrix_gflops": self.rate / 1e9},
            **found,
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.part}.json"
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def load(folder: Path, parts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The results that are there, by part."""
    results = {}
    for part in parts:
        path = folder / f"{part}.json"
        if path.is_file():
            results[part] = json.loads(path.read_text(encoding="utf-8"))
    return results


def quiet() -> None:
    """Silence the notices of the libraries that are measured; errors still come through."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("longspan").setLevel(logging.ERROR)
