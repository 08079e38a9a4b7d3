"""Mean and spread of numbers that come one at a time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator

from longspan.tasks.examples import TextExample
from longspan.tasks.labels import as_number


class Moments:
    """Mean and standard deviation of the labels of examples that pass by; those that are no numbers are left out.

    Source: Welford: Note on a Method for Calculating Corrected Sums of Squares and Products, 1962.
    """

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def watch(self, examples: Iterable[TextExample]) -> Iterator[TextExample]:
        """The same examples, counted."""
        for example in examples:
            if isinstance(example.label, float | str):
                with contextlib.suppress(ValueError):
                    self._add(as_number(example.label))
            yield example

    def _add(self, number: float) -> None:
        self._count += 1
        before = number - self._mean
        self._mean += before / self._count
        self._squares += before * (number - self._mean)

    def result(self) -> tuple[float, float]:
        """Mean and standard deviation; the latter is 1 where all numbers are the same."""
        deviation = math.sqrt(self._squares / max(self._count, 1))
        return self._mean, deviation or 1.0
