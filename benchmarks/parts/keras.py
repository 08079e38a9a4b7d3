"""longspan.keras in a TensorFlow graph, beside the last TensorFlow Longformer of transformers, and by length."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..keras_old import old_python
from ..keras_worker import Worker
from ..measure import Contender, check, ratios
from ..models import LONGFORMER, build, document
from ..results import Run
from ..sizes import sizes

TITLE = "TensorFlow: a layer stack of base size in `tf.function`"
LAYERS = 2
OURS = "longspan.keras TFLongformerModel"
THEIRS = "transformers 4.57 TFLongformerModel"
TWIN = "longspan's torch class"
REPETITIONS = 5


@dataclass
class Job:
    """A contender, the process that does its work, and what it is told."""

    contender: Contender
    worker: Worker
    tokens: int
    given: dict[str, Any]


def fill(run: Run, old: bool = False) -> None:
    """Speed beside the old class, where ``old`` asks for its environment, and cost and memory by length."""
    run.command = "python -m benchmarks.keras" + (" --old" if old else "")
    size = sizes(run.quick)
    lengths = (size.tokens, 4 * size.tokens)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = Data(Path(folder), run.quick, (size.tokens // 4, *lengths))
        start = {OURS: partial(Worker, sys.executable, "longspan", data.checkpoint, torch.get_num_threads())}
        if old:
            run.say("the environment of transformers 4.57")
            start[THEIRS] = partial(Worker, old_python(), "transformers", data.checkpoint, torch.get_num_threads())
        workers = {name: stack.enter_context(make()) for name, make in start.items()}
        short = size.tokens
        jobs = [data.job(f"{OURS}, {n:,} tokens" if n != short else OURS, workers[OURS], n) for n in lengths]
        jobs.append(data.job(f"{OURS}, jit_compile=True", workers[OURS], short, jit=True))
        if old:
            jobs.append(data.job(THEIRS, workers[THEIRS], short))
        run.say("outputs")
        contenders = [job.contender for job in jobs]
        check(contenders)
        run.refresh_rate()
        run.say("times")
        time_in_turn(jobs, 2 if run.quick else REPETITIONS)
        run.refresh_rate()
        for name, worker in workers.items():
            run.notes.append(_environment(name, worker.ask("facts")))

        def peak(name: str, tokens: int) -> dict[str, Any]:
            run.say(f"memory of {name}, {tokens:,} tokens")
            order = {"ids": data.ids(tokens), "warm": data.ids(size.tokens // 4)}
            if run.quick:
                return workers[name].ask("peak", **order)
            with start[name]() as worker:
                return worker.ask("peak", **order)

        memory = [peak(OURS, n) for n in lengths] + [{}] + ([peak(THEIRS, short)] if old else [])
    _report(run, contenders, memory, lengths)


class Data:
    """A checkpoint and documents of some lengths, with the last hidden state that the torch class gives for them."""

    def __init__(self, folder: Path, quick: bool, lengths: Sequence[int]) -> None:
        reader = build(LONGFORMER, sizes(quick), max(lengths), LAYERS)
        self.folder, self.checkpoint = folder, folder / "checkpoint"
        reader.model.save_pretrained(self.checkpoint)
        self._expected = {n: reader(document(n)) for n in lengths}
        self._flops = {n: reader.flops(n) for n in lengths}
        for n in lengths:
            np.save(self.ids(n), document(n).numpy().astype("int32"))

    def ids(self, tokens: int) -> str:
        """The file with the document of so many tokens."""
        return str(self.folder / f"{tokens}.npy")

    def job(self, name: str, worker: Worker, tokens: int, **given: Any) -> Job:
        """A contender's work."""
        given = {"ids": self.ids(tokens), **given}

        def outcome() -> Tensor:
            path = self.folder / "output.npy"
            worker.ask("output", path=str(path), **given)
            return torch.from_numpy(np.load(path))

        contender = Contender(name, outcome, lambda: self._expected[tokens], against=TWIN, flops=self._flops[tokens])
        return Job(contender, worker, tokens, given)


def time_in_turn(jobs: Sequence[Job], repetitions: int) -> None:
    """Time the work of checked contenders one after the other, each time in another order; the others wait."""
    order = random.Random(0)
    for _ in range(repetitions):
        for job in order.sample(jobs, len(jobs)):
            spent = job.worker.ask("time", **job.given)
            job.contender.seconds.append(spent["seconds"])
            job.contender.cpu_seconds.append(spent["cpu_seconds"])


def _environment(name: str, facts: dict[str, Any]) -> str:
    if facts["torch"]:
        raise RuntimeError(f"{name} imported torch: it is measured without")
    return f"{name}: {', '.join(f'{package} {number}' for package, number in facts['versions'].items())}; no torch."


def _report(run: Run, contenders: list[Contender], memory: list[dict[str, Any]], lengths: tuple[int, int]) -> None:
    """The two tables and the measures."""
    ours, long, _, *old = contenders
    beside = [(c, m) for c, m in zip(contenders, memory, strict=True) if c is not long]
    run.tabulate(f"{LAYERS} layers, {lengths[0]:,} tokens", [c for c, _ in beside], ours, [m for _, m in beside])
    run.tabulate("longspan.keras by length", [ours, long], ours, memory[:2])
    if old:
        run.measure("keras.transformers", ratios(old[0], ours))
    else:
        run.skip("keras.transformers", "needs --old, which builds the environment of transformers 4.57")
    run.measure("keras.linear", ratios(long, ours))
    peaks = [found["peak_bytes"] for found in memory[:2]]
    if None in peaks:
        run.skip("keras.flat", "peak memory is known on Linux only")
    else:
        run.measure("keras.flat", [peaks[1] / lengths[1] / (max(1, peaks[0]) / lengths[0])])
    run.notes.append(
        "float32, batch 1, one global token, the same weights. Each environment is a process of its own; they take "
        "turns, and every output is checked against the torch class before. Memory is the growth of a fresh process in "
        "its first pass of this length, with what TensorFlow needs to trace it, after one of 1,024 tokens. XLA cannot "
        "compile the class of `transformers`."
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > torch.get_num_threads() + 0.5:
        run.notes.append(
            f"**Provisional:** other work ran on the machine (load average {load:.1f}): wall-clock times are too long, "
            "and CPU times the better ones."
        )
