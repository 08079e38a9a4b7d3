"""The data of a run as rows of ids: encoded once, or taken as another run or the generator left it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longspan.lra.generating import ABOUT
from longspan.lra.pictures import is_lossy
from longspan.lra.readers import KINDS
from longspan.lra.rows import PARTS, Row, Rows, holds_rows, write_rows
from longspan.tasks.examples import DataError
from longspan.train.sources import OnProgress


def encode_data(task: str, data: Path, folder: Path, max_length: int, tell: OnProgress) -> dict[str, Rows]:
    """The parts of a data set by name, encoded into ``folder`` where they are not rows of ids already.

    Args:
        task: one of ``KINDS``.
        data: published files, or a folder of rows of ids.
        folder: where rows go that have to be encoded; a part of them that is whole is not encoded again.
        max_length: tokens of a document, the rest is cut off.
        tell: told how many rows are read.

    Raises:
        DataError: the data cannot be used, rows of ids are of another task or longer, or ``folder`` holds others.
        OSError: it cannot be read.
    """
    kind = KINDS[task]
    if holds_rows(data):
        return {part: _open(data / part, task, max_length) for part in PARTS}
    about = {"task": task, "max_length": max_length, "source": str(data.absolute()), **_about(task, data)}
    for part in PARTS:
        if (folder / part).exists():
            _check_same(folder / part, about)
        else:
            folder.mkdir(exist_ok=True)
            rows = _told(kind.read(data, part, max_length), part, tell)
            write_rows(folder / part, rows, documents=kind.documents, vocabulary=kind.vocabulary, about=about)
    return {part: Rows(folder / part) for part in PARTS}


def _check_same(folder: Path, about: dict[str, Any]) -> None:
    """Refuse rows that an attempt with other arguments left there."""
    then = Rows(folder).about
    for name in ("source", "task", "max_length"):
        if then.get(name, about[name]) != about[name]:
            raise DataError(
                f"{folder}: its rows have {name} {then[name]}, not {about[name]}: remove the folder, or begin the run "
                "in another one"
            )


def _about(task: str, data: Path) -> dict[str, Any]:
    """Whether the rows were generated, and whether their scores can be compared with published ones."""
    about: dict[str, Any] = {"generated": False}
    if (data / ABOUT).is_file():
        found = json.loads((data / ABOUT).read_text(encoding="utf-8"))
        about = {name: found[name] for name in ("generated", "seed", "rules") if name in found}
    return about | {"lossy": task == "image" and is_lossy(data), "validated_on_test": task == "text"}


def _open(folder: Path, task: str, max_length: int) -> Rows:
    rows, kind = Rows(folder), KINDS[task]
    wanted = {"documents": kind.documents, "vocabulary": kind.vocabulary}
    found = {name: rows.about[name] for name in wanted}
    if rows.about.get("task", task) != task or found != wanted:
        raise DataError(f"{folder}: rows of {rows.about.get('task', 'another task')}, not of {task}")
    longest = rows.longest
    if longest > max_length or rows.about.get("max_length", max_length) != max_length:
        at = rows.about.get("max_length", longest)
        raise DataError(f"{folder}: its documents have up to {at:,} tokens, but max_length is {max_length:,}")
    return rows


def _told(rows: Iterator[Row], part: str, tell: OnProgress) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        if number % 100 == 0:
            tell(f"reading {part}", number, None, {})
        yield row
