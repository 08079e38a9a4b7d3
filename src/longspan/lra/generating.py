"""Data sets of ListOps and Pathfinder: the same rows for a seed, whatever the number of processes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longspan.atomic import check_free, write_json, write_new_folder
from longspan.lra.listops import ListOpsRules, draw_rows
from longspan.lra.ordered import map_ordered
from longspan.lra.pathfinder import draw_picture
from longspan.lra.pathfinder_rules import PathfinderRules
from longspan.lra.protocols import ROWS
from longspan.lra.rows import PARTS, write_rows

OnRows = Callable[[int, int], None]
"""Told how many rows are there, and how many there will be."""

LISTOPS_FILES = ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv")
HEADER = "Source\tTarget"
ABOUT = "about.json"

_TRIALS = 2000  # draws of a job: a fraction of a second, most of them of a few tokens
_IDLE_JOBS = 200
_PICTURES = 50


def generate_listops(
    out: Path,
    rules: ListOpsRules | None = None,
    *,
    rows: Sequence[int] = tuple(ROWS["listops"].values()),
    seed: int = 0,
    processes: int = 1,
    on_rows: OnRows | None = None,
) -> None:
    """Write expressions as the published files have them, but without parentheses; no expression comes twice.

    Args:
        out: a new folder.
        rules: None for the published ones.
        rows: of training, validation and test.
        seed: another one for other rows.
        processes: how many work.
        on_rows: told how far it is.

    Raises:
        FileExistsError: ``out`` exists.
        ValueError: a number is out of its range, or there are not that many different expressions.
    """
    rules = rules or ListOpsRules()
    _check(rows, seed)
    check_free(out)
    found = _distinct(map_ordered(partial(_listops_job, rules, seed), count(), processes), sum(rows))
    with write_new_folder(out) as folder:
        drawn = _told(found, sum(rows), on_rows)
        for name, number in zip(LISTOPS_FILES, rows, strict=True):
            with (folder / name).open("w", encoding="utf-8") as file:
                file.write(HEADER + "\n")
                file.writelines(f"{text}\t{value}\n" for text, value in islice(drawn, number))
        _write_about(folder, "listops", rules, rows, seed)
    found.close()  # and with it the processes


def generate_pathfinder(
    out: Path,
    rules: PathfinderRules,
    *,
    rows: Sequence[int] = tuple(ROWS["pathfinder32"].values()),
    seed: int = 0,
    processes: int = 1,
    on_rows: OnRows | None = None,
) -> None:
    """Write pictures as rows of size² pixels, 0 to 255 (:mod:`longspan.lra.rows`).

    Args:
        out: a new folder.
        rules: of the pictures; :func:`~longspan.lra.pathfinder_rules.published_rules` has them.
        rows, seed, processes, on_rows: as in :func:`generate_listops`.

    Raises:
        FileExistsError: ``out`` exists.
        ValueError: a number is out of its range, or two paths find no room.
    """
    _check(rows, seed)
    check_free(out)
    total = sum(rows)
    jobs = ((start, min(_PICTURES, total - start)) for start in range(0, total, _PICTURES))
    batches = map_ordered(partial(_pathfinder_job, rules, seed), jobs, processes)
    with write_new_folder(out) as folder:
        drawn = _told((row for batch in batches for row in batch), total, on_rows)
        task = f"pathfinder{rules.size}"
        about = {"task": task, "generated": True, "seed": seed, "rules": dataclasses.asdict(rules)}
        for part, number in zip(PARTS, rows, strict=True):
            mine = (([picture], label) for picture, label in islice(drawn, number))
            write_rows(folder / part, mine, documents=1, vocabulary=256, about=about)
        _write_about(folder, task, rules, rows, seed)


def _listops_job(rules: ListOpsRules, seed: int, job: int) -> list[tuple[str, int]]:
    return draw_rows(_job_seed(seed, job), rules, _TRIALS)


def _pathfinder_job(rules: PathfinderRules, seed: int, job: tuple[int, int]) -> list[tuple[NDArray[np.uint8], int]]:
    start, number = job
    # a generator of its own for each picture: their number in a job changes nothing
    drawn = (draw_picture(np.random.default_rng((seed, i)), rules) for i in range(start, start + number))
    return [(picture.ravel(), label) for picture, label in drawn]


def _job_seed(seed: int, job: int) -> int:
    return int(np.random.SeedSequence((seed, job)).generate_state(1, np.uint64)[0])


def _distinct(batches: Iterator[list[tuple[str, int]]], wanted: int) -> Generator[tuple[str, int]]:
    """The rows that were not there before.

    Raises:
        ValueError: hardly any new one comes any more.
    """
    seen: set[bytes] = set()
    idle = 0
    for batch in batches:
        idle += 1
        for text, value in batch:
            key = hashlib.blake2b(text.encode(), digest_size=16).digest()
            if key not in seen:
                seen.add(key)
                idle = 0
                yield text, value
        if idle >= _IDLE_JOBS:
            raise ValueError(
                f"only {len(seen):,} different expressions of such lengths were found, not {wanted:,}: the last "
                f"{idle * _TRIALS:,} draws gave no new one. Ask for fewer rows, or change "
                "lengths, depth or arguments"
            )


def _told(rows: Iterator[Any], total: int, on_rows: OnRows | None) -> Iterator[Any]:
    for number, row in enumerate(rows, 1):
        if on_rows is not None:
            on_rows(number, total)
        yield row


def _check(rows: Sequence[int], seed: int) -> None:
    for part, number in zip(PARTS, rows, strict=True):
        if number < 1:
            raise ValueError(f"rows of {part} must be at least 1, got {number}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")


def _write_about(folder: Path, task: str, rules: Any, rows: Sequence[int], seed: int) -> None:
    about = {"task": task, "generated": True, "seed": seed, "rows": rows, "rules": dataclasses.asdict(rules)}
    write_json(folder / ABOUT, about)
