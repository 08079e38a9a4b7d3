"""A checkpoint applied to a data set: every row is checked first, then one JSON line for each, in input order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longspan.predict import loop
from longspan.predict.loading import Checkpoint, load
from longspan.predict.loop import BATCH_TOKENS, OnBatch, count_tokens, predict_examples
from longspan.predict.resumable import ResumableLines, fingerprint
from longspan.tasks.examples import BadRow, keep_good
from longspan.tasks.gold import has_gold, without_gold
from longspan.tasks.task import Features, Prediction

OnProgress = Callable[[int, int], None]
"""Called with (windows done, windows in all)."""

_KEPT = 20


@dataclass
class Check:
    """What a first pass over a data set found.

    Attributes:
        rows: good rows.
        windows: windows of the rows that have to be run.
        bad: numbers of the bad rows that are left out, counted from 1.
        faults: the first of them.
        done: good rows that do not have to be run.
        offset: rows, good and bad, before the first that has to be run.
        gold: whether rows come with their labels.
    """

    rows: int = 0
    windows: int = 0
    bad: set[int] = field(default_factory=set)
    faults: list[BadRow] = field(default_factory=list)
    done: int = 0
    offset: int = 0
    gold: bool = False


def predict(
    checkpoint: str | Path | Checkpoint,
    data: str | Path,
    out: str | Path,
    *,
    layout: str | None = None,
    skip_bad: bool = False,
    gold: bool = False,
    device: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    on_progress: OnProgress | None = None,
) -> Check:
    """Write what a checkpoint says of each row of a data set, as JSON lines in input order.

    All rows are read and encoded before the first is run, so that no fault is found late. The file appears when it is
    whole. The same call after an interruption goes on with what ``OUT.partial`` holds, and writes the same file: rows
    are put into the same batches again.

    Args:
        checkpoint: folder or hub id, or one that is loaded.
        data: file or folder in a form that the checkpoint's task reads.
        out: where the lines go.
        layout: name of a published layout; None to go by the file.
        skip_bad: leave bad rows out instead of raising at the first.
        gold: whether labels are read: then a row without one, or with one that the model does not know, is a bad one.
        device, max_length, stride: as in :func:`longspan.predict.load`; not for a loaded checkpoint.
        batch_tokens: tokens of one batch, padding included.
        on_progress: called after each batch with the number of windows done and in all.

    Returns:
        What the first pass found, the rows that were left out among it.

    Raises:
        DataError: the data cannot be used; the message begins with file and line.
        OSError, ValueError: the checkpoint or a file cannot be used, or ``out`` is ``data``.
    """
    loaded = as_loaded(checkpoint, device, max_length, stride)
    if Path(out).exists() and Path(data).exists() and Path(out).samefile(data):
        raise ValueError(f"{out} is the data to read: it would be replaced")
    run = {
        "checkpoint": _fingerprint_checkpoint(loaded.name),
        "data": fingerprint(data),
        "task": [loaded.task.name, loaded.task.options()],
        "lengths": [loaded.encoding.max_length, loaded.encoding.stride],
        "rows": [layout, skip_bad, gold, batch_tokens],
    }
    lines = ResumableLines(out, run)
    try:
        check = check_data(loaded, data, layout, skip_bad, gold=gold, already=lines.done, batch_tokens=batch_tokens)
        lines.keep(check.done)
        on_batch = count_batches(check.windows, on_progress)
        for _, prediction in predict_rows(loaded, data, check, layout, batch_tokens, on_batch):
            lines.write(prediction)
            lines.flush()
        lines.finish()
    finally:
        lines.close()
    return check


def check_data(
    loaded: Checkpoint,
    data: str | Path,
    layout: str | None = None,
    skip_bad: bool = False,
    *,
    gold: bool = False,
    already: int = 0,
    batch_tokens: int = BATCH_TOKENS,
) -> Check:
    """Read and encode every row without running it.

    Args:
        loaded, data, layout, skip_bad, gold, batch_tokens: as in :func:`predict`.
        already: good rows that were run; of these, those count as done that shared no batch with a later one.

    Raises:
        DataError: a row is bad and ``skip_bad`` is off, or there is no good one.
    """
    check = Check(gold=gold)
    number = tokens = 0

    def encode() -> Iterator[list[Features] | BadRow]:
        nonlocal number
        for number, row in enumerate(_read(loaded, data, layout, gold), start=1):  # noqa: B007
            yield row if isinstance(row, BadRow) else loaded.task.encode(row, loaded.encoding, training=False)

    def skip(row: BadRow) -> None:
        check.bad.add(number)
        if len(check.faults) < _KEPT:
            check.faults.append(row)

    for features in keep_good(encode(), skip_bad, skip):
        check.rows += 1
        check.windows += len(features)
        tokens += sum(map(count_tokens, features))
        if tokens >= loop.BUFFER * batch_tokens:  # where the loop runs what it has
            tokens = 0
            if check.rows <= already:
                check.done, check.offset, check.windows = check.rows, number, 0
    if check.rows == already:
        check.done, check.offset, check.windows = check.rows, number, 0
    return check


def predict_rows(
    loaded: Checkpoint,
    data: str | Path,
    check: Check,
    layout: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: OnBatch | None = None,
) -> Iterator[tuple[Any, Prediction]]:
    """Each good row from ``check.offset`` on with what is said of it; the arguments are those of :func:`predict`."""
    examples = read_good(loaded, data, check, layout, check.offset)
    yield from predict_examples(loaded.task, loaded.model, examples, loaded.encoding, batch_tokens, on_batch)


def read_good(
    loaded: Checkpoint, data: str | Path, check: Check, layout: str | None = None, offset: int = 0
) -> Iterator[Any]:
    """The good rows after the first ``offset`` rows, as a first pass found them."""
    for number, row in enumerate(_read(loaded, data, layout, check.gold), start=1):
        if number > offset and number not in check.bad:
            if isinstance(row, BadRow):  # the file has changed
                raise row.error()
            yield row


def as_loaded(
    checkpoint: str | Path | Checkpoint,
    device: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    task: str | None = None,
) -> Checkpoint:
    """The checkpoint, loaded where it is a name.

    Raises:
        ValueError: it is of another task, or cannot be loaded.
        OSError: a file is missing.
    """
    if not isinstance(checkpoint, Checkpoint):
        return load(checkpoint, task, device, max_length, stride)
    if task is not None and checkpoint.task.name != task:
        raise ValueError(f"{checkpoint.name} is a checkpoint for the task {checkpoint.task.name!r}, not for {task!r}")
    if (device, max_length, stride) != (None, None, None):
        raise ValueError("device, max_length and stride belong to longspan.predict.load: the checkpoint is loaded")
    return checkpoint


def count_batches(total: int, on_progress: OnProgress | None) -> OnBatch | None:
    """From what is called after each batch to what is told how much is done."""
    if on_progress is None:
        return None
    done = 0

    def count(windows: int) -> None:
        nonlocal done
        done += windows
        on_progress(done, total)

    return count


def _read(loaded: Checkpoint, data: str | Path, layout: str | None, gold: bool) -> Iterator[Any]:
    """Rows of a data set; with ``gold`` those without a label are bad, else all are read without."""
    for row in loaded.task.read(str(data), layout):
        if isinstance(row, BadRow):
            yield row
        elif not gold:
            yield without_gold(row)
        elif has_gold(loaded.task.name, row):
            yield row
        else:
            yield BadRow(row.source, "the row has no label to evaluate against")


def _fingerprint_checkpoint(name: str) -> list[list[Any]]:
    """Of the files of a checkpoint's folder alone, without the folders in it."""
    folder = Path(name)
    if not folder.is_dir():
        return [[name]]
    return [entry for path in sorted(folder.iterdir()) if path.is_file() for entry in fingerprint(path)]
