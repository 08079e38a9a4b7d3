"""Training a model on a task: data to disk, steps with checkpoints, the best as the result; resumes by itself."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longspan.atomic import remove_left_overs, write_json
from longspan.predict.loading import read_config
from longspan.tasks.examples import DataError
from longspan.tasks.options import option_kinds
from longspan.tasks.registry import make_task, task_class
from longspan.tasks.task import Encoding, Features, Task
from longspan.train import checkpoints
from longspan.train.arguments import Arguments
from longspan.train.building import (
    Start,
    known_options,
    make_config,
    make_encoding,
    make_model,
    make_tokenizer,
    texts_of,
)
from longspan.train.features import FeatureTable, write_features
from longspan.train.identity import check_same, complete, describe
from longspan.train.lock import hold
from longspan.train.publishing import check_no_model, is_published, publish_model
from longspan.train.result import Result, best_scores, load_result
from longspan.train.settings import set_steps, training_arguments
from longspan.train.sources import OnProgress, Skipped, Sources

logger = logging.getLogger("longspan.train")

WORK = "training"
"""Folder, inside a run's, of what only training reads."""


def train(
    task: Task[Any] | str,
    data: str | Path,
    out: str | Path,
    *,
    validation: str | Path | None = None,
    layout: str | None = None,
    model: str | Path | None = None,
    scratch: str | None = None,
    family: str = "longformer",
    tokenizer: str | Path | None = None,
    skip_bad: bool = False,
    arguments: Arguments | None = None,
    on_progress: OnProgress | None = None,
) -> Result:
    """Train a model on a task, or finish a run that was begun in ``out``.

    Both files are read to their last row before the first step; neither is held in memory. Of the checkpoints, the one
    with the best validation score is put into ``out`` (the last one where nothing is validated), ready for
    ``from_pretrained`` and the commands.

    Args:
        task: a task or its name.
        data, validation: files or folders that the task reads.
        out: folder of the run.
        layout: a published layout of the data; None to go by the file.
        model: folder or hub id of a checkpoint to start from; None to train new weights.
        scratch: size of new weights, "tiny", "mini", "small" or "base"; None to start from ``model``.
        family: of new weights, "longformer" or "nystromformer".
        tokenizer: folder or hub id; None for the checkpoint's, or with ``scratch`` for one trained on the data.
        skip_bad: leave bad rows out, counted, instead of raising at the first.
        arguments: how to train.
        on_progress: told how far it is: what is being done, how much of it, of how much, and the latest figures.

    Raises:
        DataError: a row is bad, or there is none.
        DifferentRun: ``out`` holds a run with other arguments.
        BusyRun: another command is training in ``out``.
        FileExistsError: ``out`` holds a model that is not of this run.
        OSError, ValueError: a file or the start cannot be used.
    """
    arguments = arguments or Arguments()
    start = Start(
        model=None if model is None else str(model),
        scratch=scratch,
        family=family,
        tokenizer=None if tokenizer is None else str(tokenizer),
    )
    if isinstance(task, str):
        seeded = "seed" in option_kinds(task_class(task))
        task = make_task(task, {"seed": arguments.seed} if seeded else {})
    if start.model is not None and Path(start.model).resolve() == Path(out).resolve():
        raise ValueError(f"out must be another folder than that of the model, got {out} for both")
    sources = Sources(
        str(data),
        None if validation is None else str(validation),
        layout,
        skip_bad,
        arguments.holdout,
        arguments.seed,
    )
    return _Run(Path(out), task, sources, start, arguments, on_progress or _ignore).finish()


class _Run:
    """One call of :func:`train`, from the arguments to the result."""

    def __init__(
        self, out: Path, task: Task[Any], sources: Sources, start: Start, arguments: Arguments, tell: OnProgress
    ) -> None:
        self.out, self.task, self.sources, self.start = out, task, sources, start
        self.arguments, self.tell = arguments, tell
        self.work, self.folder = out / WORK, out / WORK / "checkpoints"
        self.features = self.work / "features"
        self.ended, self.published = self.work / "result.json", self.work / "published.json"

    def finish(self) -> Result:
        """Do what is left to do."""
        from longspan.models.quiet import quiet_peft, quiet_transformers

        began = time.monotonic()
        if not self.features.exists():
            check_no_model(self.out)
        family = self.start.family if self.start.model is None else read_config(self.start.model)["model_type"]
        self.settings = training_arguments(self.arguments, self.folder, family)
        self.folder.mkdir(parents=True, exist_ok=True)
        process, processes = self.settings.process_index, self.settings.world_size
        with hold(self.work, process, processes), quiet_transformers(), quiet_peft():
            return self._finish(began)

    def _finish(self, began: float) -> Result:
        with self.settings.main_process_first(local=False):  # the others wait, and read what it wrote
            self._prepare()
        if self.ended.exists():
            result = load_result(self.ended)
            return dataclasses.replace(result, resumed=result.steps, seconds=0.0)
        last = checkpoints.find_last(self.folder)
        total = self.arguments.total_steps(len(self.rows), self.settings.world_size)
        self.tell("train", 0 if last is None else last[0], total, {})
        if last is None or last[0] < total:
            self._train(total, None if last is None else last[1])
        if self.settings.process_index == 0:
            self._publish(None if last is None else last[0], began).save(self.ended)
        if self.settings.world_size > 1:
            import torch

            torch.distributed.barrier()
        return load_result(self.ended)

    def _prepare(self) -> None:
        """Everything up to the first step that all processes share."""
        run = describe(self.task, self.sources, self.start, self.arguments, self.settings.world_size)
        if self.settings.process_index == 0:
            remove_left_overs(self.out, self.work, self.folder)
            if not self.features.exists():
                shutil.rmtree(self.work / "tokenizer", ignore_errors=True)  # of data that could not be read to its end
                self._learn()
                self._write_features(self.features, run)
        elif not self.features.exists():
            raise RuntimeError("the first process could not read the data")
        self.rows = FeatureTable(self.features)
        check_same(self.out, complete(self.rows.about["run"], run), run)
        # what was held out when the run began stays so: at first it was drawn without regard to classes
        self.sources = dataclasses.replace(self.sources, by_class=self.rows.about.get("by_class", False))
        self.task = type(self.task)(**self.rows.about["options"])
        self.encoding = self._make_encoding()
        if self.settings.process_index == 0 and self.ended.exists() and not is_published(self.out, self.published):
            self._put_back(load_result(self.ended).best_step)

    def _learn(self) -> None:
        """Take the labels from the checkpoint, or from the data in a pass of its own; ``labels=null`` asks for that."""
        options = known_options(self.start, self.task)
        anew = options is None or ("labels" in self.task.given and not options["labels"])
        if options is not None:
            self.task = type(self.task)(**options)
        if anew:
            self.task.learn(self.sources.read(self.task, "train"))

    def _write_features(self, folder: Path, run: dict[str, Any]) -> None:
        task, sources, encoding = self.task, self.sources, self._make_encoding()
        skipped = Skipped()
        about: dict[str, Any] = {"run": run, "options": task.options(), "by_class": sources.by_class}

        def features() -> Iterator[Features]:
            examples = sources.read(task, "train", skipped, self.tell)
            rows = 0
            windows = sources.encode(task, examples, encoding, skipped)
            for row in task.join(windows, encoding):
                rows += 1
                yield row
            if not rows:
                raise DataError(f"{sources.data}: no example holds anything to learn")
            if sources.validates:  # checked now, to the last row: a fault must not end the run later
                about["validation"] = sources.check_validation(task, encoding, skipped, self.tell)
            about.update(skipped=skipped.count, bad=skipped.named)

        write_features(features(), folder, about)

    def _make_encoding(self) -> Encoding:
        texts = texts_of(self.sources.read(self.task, "train"))
        tokenizer = make_tokenizer(self.start, texts, self.work / "tokenizer", self.task.special_tokens)
        length = self.arguments.max_length
        settings = {**self.arguments.settings(), **self.task.settings()}
        self.config = make_config(self.start, tokenizer, settings, length)
        return make_encoding(self.config, tokenizer, length, self.arguments.stride)

    def _make_model(self) -> Any:
        tokens = len(self.encoding.tokenizer)
        return make_model(self.start, self.task, self.config, tokens, self.arguments.lora)

    def _train(self, total: int, checkpoint: Path | None) -> None:
        from transformers import set_seed

        from longspan.train.following import Follow
        from longspan.train.initialize import initialize_from_rows
        from longspan.train.trainer import TaskTrainer
        from longspan.train.validating import Validation

        between = self.arguments.steps_between_checkpoints(total)
        validates = self.sources.validates
        set_steps(self.settings, total, between, validates, checkpoint is None)
        count = self.rows.about.get("validation")
        evaluate = Validation(self.task, self.encoding, self.sources, count, self.tell) if validates else None
        set_seed(self.arguments.seed)
        model = self._make_model()
        if self.start.model is None and checkpoint is None:
            initialize_from_rows(model, self.rows, self.arguments.seed)
        trainer = TaskTrainer(
            self.task,
            self.encoding,
            model,
            self.settings,
            self.rows,
            evaluate,
            self.arguments.keep,
            [Follow(self.tell)],
        )
        set_seed(self.arguments.seed + self.settings.process_index)  # dropout of its own in each process
        if evaluate is not None:
            evaluate.whole = trainer.is_fsdp_enabled
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    def _publish(self, resumed: int | None, began: float) -> Result:
        """Put the best checkpoint's model into the run's folder."""
        whole = [
            (step, path)
            for step, path in checkpoints.list_checkpoints(self.folder)
            if checkpoints.find_fault(path) is None
        ]
        history = checkpoints.read_history(whole[0][1])
        best, scores = best_scores(history, self.task.metric, self.task.greater_is_better, [step for step, _ in whole])
        self._put_out(best)
        losses = [line["loss"] for line in history if "loss" in line]
        return Result(
            out=str(self.out),
            rows=len(self.rows),
            skipped=self.rows.about["skipped"],
            bad=tuple(self.rows.about["bad"]),
            steps=whole[0][0],
            best_step=best,
            scores=scores,
            loss=losses[-1] if losses else None,
            resumed=resumed,
            seconds=time.monotonic() - began,
            history=history,
        )

    def _put_out(self, step: int) -> None:
        """Put the model of the checkpoint of ``step`` into the run's folder."""
        checkpoint = self.folder / f"checkpoint-{step}"
        write_json(
            self.published, publish_model(checkpoint, self.out, self._make_model if self.arguments.lora else None)
        )

    def _put_back(self, step: int) -> None:
        """Put the model of a finished run, whose files are not all there, into the run's folder again.

        Raises:
            FileNotFoundError: its checkpoint is not whole either.
        """
        fault = checkpoints.find_fault(self.folder / f"checkpoint-{step}")
        if fault is not None:
            raise FileNotFoundError(
                f"{self.out} lacks files of its model, and checkpoint-{step} cannot give them back: {fault}"
            )
        logger.warning("%s lacks files of its model, which are put back", self.out)
        self._put_out(step)


def _ignore(doing: str, done: int, total: int | None, figures: dict[str, float]) -> None:
    """Tell nobody."""
