"""The training loop: an objective in, weights and their moving average out; stops and resumes anywhere."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from longspan.atomic import write_file
from longspan.train.muon import build_optimizers

logger = logging.getLogger("longspan.train")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    steps: optimizer steps at most. minutes: wall-clock minutes at most, over all resumed parts; the learning rate has
    decayed to zero when either is reached. rate: factor of all learning rates. warmup: share of the run with a rising
    rate, all of it or more where there is no fall. decay: how the rate falls, see :func:`learning_rate`. average: decay
    of the moving average of the weights, per step. save_every: seconds between checkpoints.
    """

    steps: int = 6000
    minutes: float = math.inf
    rate: float = 1.0
    lr_matrix: float = 5e-3
    lr_embedding: float = 2e-3
    lr_other: float = 2e-3
    weight_decay: float = 0.1
    warmup: float = 0.03
    decay: str = "linear"
    average: float = 0.995
    clip: float = 1.0
    save_every: float = 120.0
    seed: int = 0


def learning_rate(progress: float, warmup: float, decay: str = "linear") -> float:
    """Factor of the learning rates: linear up to 1 at `warmup`, then down.

    "linear" and "cosine" reach 0 at the end, "rsqrt", which needs a warm-up, falls with the root of the progress.
    """
    if progress < warmup:
        return progress / warmup
    if decay == "rsqrt":
        return math.sqrt(warmup / progress)
    left = max(0.0, (1 - progress) / (1 - warmup)) if warmup < 1 else 0.0
    return (1 - math.cos(math.pi * left)) / 2 if decay == "cosine" else left


def check_finite(what: str, value: float) -> None:
    """Refuse to go on with weights that are lost.

    Raises:
        ValueError: the value is infinite or no number.
    """
    if not math.isfinite(value):
        raise ValueError(f"{what} is {value}: the training diverged; begin anew with a lower learning rate")


class Trainer:
    """Trains `objective`, a module that is called with the number of a step and returns its loss."""

    def __init__(
        self,
        objective: nn.Module,
        schedule: Schedule,
        folder: Path,
        optimizers: Sequence[torch.optim.Optimizer] | None = None,
        on_step: Callable[[int, float], None] | None = None,
    ) -> None:
        """``optimizers`` take the place of Muon and AdamW at the schedule's rates; ``on_step`` is told each loss."""
        self.objective, self.schedule, self.folder, self.on_step = objective, schedule, folder, on_step
        self.optimizers = optimizers or build_optimizers(
            objective,
            lr_matrix=schedule.rate * schedule.lr_matrix,
            lr_embedding=schedule.rate * schedule.lr_embedding,
            lr_other=schedule.rate * schedule.lr_other,
            weight_decay=schedule.weight_decay,
        )
        self._base = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        self._trained = {id(p) for o in self.optimizers for group in o.param_groups for p in group["params"]}
        self.restart_average()
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    def restart_average(self) -> None:
        """Begin the moving average at the present weights."""
        self.averaged = {n: p.detach().clone() for n, p in self.objective.named_parameters()}

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def progress(self) -> float:
        return max(self.step / self.schedule.steps, self.seconds / 60 / self.schedule.minutes)

    def rate(self) -> float:
        """Factor of all learning rates in the step that is next."""
        return learning_rate(self.progress, self.schedule.warmup, self.schedule.decay)

    def run(self, until: int | None = None) -> None:
        """Train to the end of the schedule, or to step `until`; resumes from a checkpoint in the folder.

        Raises:
            ValueError: the loss became infinite or no number.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self.load()
        self.objective.train()
        saved = time.monotonic()
        while self.progress < 1 and (until is None or self.step < until):
            began, cpu = time.monotonic(), time.process_time()
            loss = self.train_step()
            check_finite(f"the loss of step {self.step}", loss)
            self.seconds += time.monotonic() - began
            self.cpu_seconds += time.process_time() - cpu
            if self.on_step is not None:
                self.on_step(self.step, loss)
            if self.step % 50 == 0:
                self._log(loss)
            if time.monotonic() - saved > self.schedule.save_every:
                self.save()
                saved = time.monotonic()
        self.save()

    def train_step(self) -> float:
        """One optimizer step; returns the loss."""
        # Dropout must not depend on where a run was interrupted.
        torch.manual_seed(self.schedule.seed * 1_000_003 + self.step)
        factor = self.rate()
        for optimizer, base in zip(self.optimizers, self._base, strict=True):
            for group, lr in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = lr * factor
        loss = self.objective(self.step)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.objective.parameters() if p.grad is not None], self.schedule.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.objective.zero_grad(set_to_none=True)
        self.step += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # Early on a plain mean: the first weights should not linger in the average.
        decay = min(self.schedule.average, self.step / (self.step + 10))
        for name, p in self.objective.named_parameters():
            if id(p) in self._trained:
                self.averaged[name].lerp_(p, 1 - decay)

    def save(self) -> None:
        """Write the checkpoint; a crash leaves the old one whole."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "objective": self.objective.state_dict(),
            "averaged": self.averaged,
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        with write_file(self.checkpoint) as partial:
            torch.save(state, partial)

    def load(self) -> None:
        """Go on where the checkpoint stopped."""
        device = next(self.objective.parameters()).device
        state = torch.load(self.checkpoint, weights_only=True, map_location=device)
        self.step, self.seconds, self.cpu_seconds = state["step"], state["seconds"], state["cpu_seconds"]
        self.objective.load_state_dict(state["objective"])
        self.averaged = state["averaged"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        logger.info("resumed at step %d", self.step)

    def use_average(self) -> None:
        """Put the averaged weights into the objective's modules."""
        self.objective.load_state_dict(self.averaged, strict=False)

    def _log(self, loss: float) -> None:
        logger.info("step %d, %.1f %%, %.1f min, loss %.4f", self.step, 100 * self.progress, self.seconds / 60, loss)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": self.step, "seconds": round(self.seconds, 1), "loss": round(loss, 5)}) + "\n")
