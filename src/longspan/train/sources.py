"""The examples of a run: which are for training and which for validation, and which rows are left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from longspan.tasks.examples import BadRow, DataError, Example, keep_good
from longspan.tasks.gold import has_gold
from longspan.tasks.task import Encoding, Features, Task
from longspan.train.holdout import Holdout

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
        by_class: whether the same share of each class is held out, and the examples of a group together.
    """

    data: str
    validation: str | None
    layout: str | None
    skip_bad: bool
    holdout: float
    seed: int
    by_class: bool = True

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
        held_out = Holdout(self.holdout, self.seed)
        for count, example in enumerate(keep_good(task.read(source, self.layout), self.skip_bad, skipped)):
            if tell is not None and count % 100 == 0:
                tell("read" if part == "train" else "check", count, None, {})
            if self.holdout:
                stratum, group = (task.stratum(example), task.group(example)) if self.by_class else (None, None)
                if held_out(stratum, group) != (part == "validation"):
                    continue
            yield example

    def encode(
        self,
        task: Task[Any],
        examples: Iterable[Example],
        encoding: Encoding,
        skipped: Skipped | None = None,
    ) -> Iterator[Features]:
        """The features of training examples, windows one after another.

        Raises:
            DataError: an example cannot be encoded and ``skip_bad`` is off, or none can.
        """
        windows = (_encode(task, example, encoding, True) for example in examples)
        for features in keep_good(windows, self.skip_bad, skipped):
            yield from features

    def check_validation(
        self, task: Task[Any], encoding: Encoding, skipped: Skipped | None = None, tell: OnProgress | None = None
    ) -> int:
        """Read and encode the validation examples, each with its label; the number of them.

        What is left out is counted where :meth:`read` of the training examples did not.

        Raises:
            DataError: one cannot be used and ``skip_bad`` is off, or there is none.
        """
        # rows of the training file were counted when that was read
        examples = self.read(task, "validation", None if self.validation is None else skipped, tell)
        first = next(examples, None)
        if first is None:
            raise DataError(f"{self.data}: a holdout of {self.holdout} leaves no example for validation")
        checked = (_encode(task, example, encoding, False) for example in chain([first], examples))
        return sum(1 for _ in keep_good(checked, self.skip_bad, skipped))

    def validation_examples(self, task: Task[Any]) -> Iterator[Any]:
        """The validation examples with a label, one at a time."""
        return (example for example in self.read(task, "validation") if has_gold(task.name, example))


def _encode(task: Task[Any], example: Example, encoding: Encoding, training: bool) -> list[Features] | BadRow:
    """The features of an example; a bad row if it is to validate with and has no label."""
    if not training and not has_gold(task.name, example):
        return BadRow(example.source, "there is no label to validate with")
    return task.encode(example, encoding, training=training)
