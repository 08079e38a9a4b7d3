"""One run: a model trained on a task by a protocol, the best of its evaluations tested; resumes by itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longspan.atomic import remove_left_overs, write_file, write_json
from longspan.lra.encoded import encode_data
from longspan.lra.protocols import MODELS, Settings, list_changes, make_settings
from longspan.lra.readers import KINDS
from longspan.lra.rows import hash_rows
from longspan.train.identity import check_same
from longspan.train.lock import hold
from longspan.train.records import add_peak, peak_memory, read_history, read_json, where_it_ran
from longspan.train.sources import OnProgress

RUN, HISTORY, RESULT, BEST = "run.json", "history.json", "result.json", "best.pt"
ROWS = "rows_sha256"

ABOUT_DATA = ("generated", "seed", "rules", "lossy", "validated_on_test")
"""What a result says of the rows."""


def run_task(
    task: str,
    data: str | Path,
    out: str | Path,
    *,
    model: str,
    protocol: str = "nystromformer",
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train, evaluate and test, or finish a run that was begun in ``out``.

    Args:
        task: one of ``KINDS``.
        data: the published files, what :mod:`longspan.lra.generating` wrote, or the folder ``data`` of another run.
        out: folder of the run.
        model: "longformer", "nystromformer" or "softmax".
        protocol: "nystromformer" or "original".
        changes: settings that differ from the protocol's.
        seed: of weights, dropout and the order of rows.
        device: None for the first accelerator, else the CPU.
        on_progress: told how far it is.

    Returns:
        What is in ``result.json``.

    Raises:
        DataError: the data cannot be used.
        BusyRun: another command is at work in ``out``.
        DifferentRun: ``out`` holds a run with other arguments, or of other rows.
        OSError, TypeError, ValueError: a file or an argument cannot be used, or the training diverged.
    """
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    settings = make_settings(task, protocol, changes or {})
    return _Run(task, Path(data), Path(out), model, protocol, settings, seed, device, on_progress or _ignore).finish()


class _Run:
    """One call of :func:`run_task`."""

    def __init__(
        self,
        task: str,
        data: Path,
        out: Path,
        model: str,
        protocol: str,
        settings: Settings,
        seed: int,
        device: str | None,
        tell: OnProgress,
    ) -> None:
        self.task, self.data, self.out, self.name, self.protocol = task, data, out, model, protocol
        self.settings, self.seed, self.device, self.tell = settings, seed, device, tell

    def finish(self) -> dict[str, Any]:
        """Do what is left to do."""
        from longspan.predict.loading import find_device

        device = find_device(self.device)
        run = self._describe()
        if (self.out / RUN).exists():
            then = read_json(self.out / RUN)
            check_same(self.out, then, run | {ROWS: then.get(ROWS)})  # which rows these are is not known yet
        if (self.out / RESULT).exists():
            return read_json(self.out / RESULT)
        self.out.mkdir(parents=True, exist_ok=True)
        with hold(self.out):
            remove_left_overs(self.out, self.out / "data")
            self.parts = encode_data(self.task, self.data, self.out / "data", self.settings.max_length, self.tell)
            run[ROWS] = hash_rows(self.parts)
            begun = (self.out / RUN).exists()
            if begun:
                check_same(self.out, read_json(self.out / RUN), run)
            trainer = self._make_trainer(device)
            # not before: a folder in which nothing could begin is free for other arguments
            if not begun:
                write_json(self.out / RUN, run)
            history = self._train(trainer)
            result = self._test(trainer, history) | {ROWS: run[ROWS]}
            write_json(self.out / RESULT, result)
        return result

    def _describe(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "model": self.name,
            "protocol": self.protocol,
            "seed": self.seed,
            "data": str(self.data.absolute()),
            **dataclasses.asdict(self.settings),
        }

    def _make_trainer(self, device: Any) -> Any:
        import torch

        from longspan.lra.model import Classifier
        from longspan.lra.objective import RowLabels, make_optimizer
        from longspan.train.loop import Schedule, Trainer

        kind, settings = KINDS[self.task], self.settings
        torch.manual_seed(self.seed)
        model = Classifier(
            self.name, settings, vocabulary=kind.vocabulary, classes=kind.classes, documents=kind.documents
        ).to(device)
        optimizer = make_optimizer(
            model,
            lr=settings.highest_lr,
            betas=(0.9, settings.beta2),
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
        )
        schedule = Schedule(
            steps=settings.steps,
            warmup=settings.warmup / settings.steps,
            decay=settings.decay,
            clip=math.inf,
            average=0.0,
            seed=self.seed,
        )
        objective = RowLabels(model, self.parts["train"], self.seed)
        return Trainer(objective, schedule, self.out, [optimizer], self._training)

    def _train(self, trainer: Any) -> dict[str, Any]:
        """Train to the last step; the weights of the best evaluation are then in ``best.pt``."""
        import torch

        from longspan.lra.objective import evaluate
        from longspan.train.loop import check_finite

        settings, model = self.settings, trainer.objective.model
        history = read_history(self.out / HISTORY)
        done = {line["step"] for line in history["evaluations"]}
        for step in range(settings.evaluate_every, settings.steps + settings.evaluate_every, settings.evaluate_every):
            step = min(step, settings.steps)
            if step in done:
                continue
            # a run that was killed goes on from its checkpoint, which is not behind the last evaluation that counts
            trainer.run(until=step)
            scores = evaluate(model, self.parts["validation"], settings.evaluate_rows, self._evaluating)
            check_finite(f"the validation loss after {step} steps", scores["loss"])
            best = max((line["accuracy"] for line in history["evaluations"]), default=-1.0)
            if scores["accuracy"] > best:
                with write_file(self.out / BEST) as partial:
                    torch.save(model.state_dict(), partial)
            line = {"step": step, **scores, "seconds": trainer.seconds, "cpu_seconds": trainer.cpu_seconds}
            history["evaluations"].append(line)
            add_peak(history, peak_memory())
            write_json(self.out / HISTORY, history)
        return history

    def _test(self, trainer: Any, history: dict[str, Any]) -> dict[str, Any]:
        import torch

        from longspan.lra.objective import device_of, evaluate

        model = trainer.objective.model
        device = device_of(model)
        model.load_state_dict(torch.load(self.out / BEST, weights_only=True, map_location=device))
        scores = evaluate(model, self.parts["test"], 0, self._evaluating)
        lines = history["evaluations"]
        best = max(lines, key=lambda line: (line["accuracy"], -line["step"]))
        about = self.parts["test"].about
        return {
            "task": self.task,
            "model": self.name,
            "protocol": self.protocol,
            "seed": self.seed,
            "steps": self.settings.steps,
            "accuracy": scores["accuracy"],
            "loss": scores["loss"],
            "best_step": best["step"],
            "validation_accuracy": best["accuracy"],
            "rows": {part: len(rows) for part, rows in self.parts.items()},
            "data": str(self.data),
            "about_data": {name: about[name] for name in ABOUT_DATA if name in about},
            "changes": list_changes(self.task, self.protocol, self.name, self.settings),
            "settings": dataclasses.asdict(self.settings),
            "parameters": sum(p.numel() for p in model.parameters()),
            "seconds": lines[-1]["seconds"],
            "cpu_seconds": lines[-1]["cpu_seconds"],
            "steps_per_second": self.settings.steps / max(lines[-1]["seconds"], 1e-9),
            "peak_memory_bytes": history["peak_memory_bytes"],
            **where_it_ran(device),
        }

    def _training(self, step: int, loss: float) -> None:
        self.tell("train", step, self.settings.steps, {"loss": loss})

    def _evaluating(self, done: int, total: int) -> None:
        self.tell("evaluate", done, total, {})


def _ignore(doing: str, done: int, total: int | None, figures: dict[str, float]) -> None:
    """Tell nobody."""
