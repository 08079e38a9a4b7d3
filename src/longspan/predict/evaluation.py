"""A checkpoint's scores on labelled data."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longspan.predict.loading import Checkpoint
from longspan.predict.loop import BATCH_TOKENS
from longspan.predict.predictions import (
    OnProgress,
    as_loaded,
    check_data,
    count_batches,
    predict,
    predict_rows,
    read_good,
)
from longspan.tasks.examples import BadRow
from longspan.tasks.task import Prediction


@dataclass(frozen=True)
class Evaluation:
    """Scores of a checkpoint.

    Attributes:
        task: name of the task.
        metric: the score by which its checkpoints are compared, a key of ``scores``.
        scores: all of the task's figures.
        rows: number of rows that were scored.
        skipped: number of bad rows that were left out.
        faults: the first of them.
        seconds: wall-clock time after loading the checkpoint.
    """

    task: str
    metric: str
    scores: dict[str, float]
    rows: int
    skipped: int
    faults: tuple[BadRow, ...]
    seconds: float


def evaluate(
    checkpoint: str | Path | Checkpoint,
    data: str | Path,
    out: str | Path | None = None,
    *,
    layout: str | None = None,
    skip_bad: bool = False,
    device: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Score a checkpoint on labelled data; all rows are checked before the first is run.

    Rows pass through one after another: of each is kept what the scores depend on, such as two class numbers.

    Args:
        checkpoint, data, layout, skip_bad, device, max_length, stride, batch_tokens, on_progress: as in
            :func:`longspan.predict.predict`.
        out: also write the predictions there; an interrupted evaluation then goes on where it stopped.

    Raises:
        DataError: the data cannot be used, or a row has no label or one that the model does not know; the message
            begins with file and line.
        OSError, ValueError: the checkpoint or a file cannot be used.
    """
    loaded = as_loaded(checkpoint, device, max_length, stride)
    began = time.perf_counter()
    rows: Iterable[tuple[Any, Prediction]]
    if out is not None:
        check = predict(
            loaded,
            data,
            out,
            layout=layout,
            skip_bad=skip_bad,
            gold=True,
            batch_tokens=batch_tokens,
            on_progress=on_progress,
        )
        rows = zip(read_good(loaded, data, check, layout), _read_lines(out), strict=True)
    else:
        check = check_data(loaded, data, layout, skip_bad, gold=True)
        on_batch = count_batches(check.windows, on_progress)
        rows = predict_rows(loaded, data, check, layout, batch_tokens, on_batch)
    records = [loaded.task.record(example, prediction) for example, prediction in rows]
    return Evaluation(
        loaded.task.name,
        loaded.task.metric,
        loaded.task.score_records(records),
        check.rows,
        len(check.bad),
        tuple(check.faults),
        time.perf_counter() - began,
    )


def _read_lines(path: str | Path) -> Iterator[Prediction]:
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)
