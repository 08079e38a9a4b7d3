"""The examples of a run: which are for training and which for validation, and which rows are left out."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from longspan.tasks.examples import BadRow, Example, keep_good
from longspan.tasks.task import Encoding, Features, Task

logger = logging.getLogger("longspan.train")

OnProgress = Callable[[str, int, int | None, dict[str, float]], None]
"""Called with what is being done ("read", "check", "train", "evaluate"), how much of it is done, of how much where that
is known, and the latest figures."""

MOST_NAMED = 20
"""Bad rows that are kept by name; all are counted."""


@dataclass
class Skipped:
    """Counts the rows that are left out, and names the first."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def __call__(self, row: BadRow) -> None:
        """Count one."""
        self.count += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(str(row.error()))
        logger.info("left out: %s", row.error())


@dataclass(frozen=True)
class Sources:
    """Where the examples of a run are.

    Attributes:
        data, validation: files or folders; ``validation`` None for none.
        layout: of both; None to go by the files.
        skip_bad: leave bad rows out instead of raising at the first.
        holdout: share of ``data`` that is for validation; 0 where there is a file for that.
        seed: of the draw of these.
    """

    data: str
    validation: str | None
    layout: str | None
    skip_bad: bool
    holdout: float
    seed: int

    def __post_init__(self) -> None:
        """Check that there is one source of validation examples at most.

        Raises:
            ValueError: there are two.
        """
        if self.validation is not None and self.holdout:
            raise ValueError("holdout is for data without a validation file: give one of them")

    @property
    def validates(self) -> bool:
        """Whether there are validation examples."""
        return self.validation is not None or self.holdout > 0

    def read(
        self, task: Task[Any], part: str, skipped: Skipped | None = None, tell: OnProgress | None = None
    ) -> Iterator[Any]:
        """The good examples of the part "train" or "validation", one at a time.

        Raises:
            DataError: a row is bad and ``skip_bad`` is off, or no row is good.
            OSError: a file cannot be opened.
        """
        source = self.data if part == "train" or self.validation is None else self.validation
        draw = random.Random(f"holdout {self.seed}").random
        for count, example in enumerate(keep_good(task.read(source, self.layout), self.skip_bad, skipped)):
            if tell is not None and count % 100 == 0:
                tell("read" if part == "train" else "check", count, None, {})
            if not self.holdout or (draw() < self.holdout) == (part == "validation"):
                yield example

    def encode(
        self,
        task: Task[Any],
        examples: Iterable[Example],
        encoding: Encoding,
        training: bool,
        skipped: Skipped | None = None,
    ) -> Iterator[Features]:
        """The features of the examples, windows one after another.

        Raises:
            DataError: an example cannot be encoded and ``skip_bad`` is off, or none can.
        """
        windows = (_encode(task, example, encoding, training) for example in examples)
        for features in keep_good(windows, self.skip_bad, skipped):
            yield from features

    def read_validation(self, task: Task[Any], encoding: Encoding) -> list[Any] | None:
        """The validation examples that can be encoded; None where there are to be none.

        Raises:
            ValueError: ``holdout`` leaves none.
        """
        if not self.validates:
            return None
        examples = list(self.read(task, "validation"))
        if self.skip_bad:
            examples = [x for x in examples if not isinstance(_encode(task, x, encoding, False), BadRow)]
        if not examples:
            raise ValueError(f"holdout {self.holdout} leaves no example for validation")
        return examples


def _encode(task: Task[Any], example: Example, encoding: Encoding, training: bool) -> list[Features] | BadRow:
    """The features of an example; a bad row if it is to validate with and has no label."""
    from longspan.predict.predictions import has_gold

    if not training and not has_gold(task.name, example):
        return BadRow(example.source, "there is no label to validate with")
    return task.encode(example, encoding, training=training)
