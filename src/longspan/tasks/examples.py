"""What a row of data means: one dataclass for each kind of task, and what stands for a row that means nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar


class DataError(ValueError):
    """Data that cannot be used; the message begins with the file and, where there is one, the line."""


@dataclass(frozen=True)
class Source:
    """Where a row stands.

    Attributes:
        file: path as the caller gave it.
        line: line of a text file, else number of the row or entry, counted from 1; None for the file as a whole.
    """

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read, in the place where its example would be."""

    source: Source
    reason: str

    def error(self) -> DataError:
        """What is raised where bad rows are not skipped."""
        return DataError(f"{self.source}: {self.reason}")


@dataclass(frozen=True)
class Example:
    """What all kinds have in common.

    Attributes:
        id: the row's own id, or ``file:line``; predictions carry it.
        source: where it came from.
    """

    id: str
    source: Source


@dataclass(frozen=True)
class TextExample(Example):
    """A text, or two, with what is to be said of it; for ``mlm`` and ``classify``.

    Attributes:
        text, text_pair: as read.
        label: a class name, a tuple of class names (multi-label), a number (regression), or None where unknown.
        layout: the published layout that it was read in; None for that of a table.
    """

    text: str
    text_pair: str | None = None
    label: str | tuple[str, ...] | float | None = None
    layout: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class TaggedExample(Example):
    """Words and the tag of each, or None where unknown.

    Attributes:
        text: the words' text; ``offsets`` are the words' code points in it.
    """

    text: str
    offsets: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class QuestionExample(Example):
    """A question about a document.

    Attributes:
        answers: gold answers as (text, first code point in ``context``, or None where the place is unknown).
        answerable: False where it is known that there is no answer; None where nothing is known.
    """

    question: str
    context: str
    answers: tuple[tuple[str, int | None], ...] = ()
    answerable: bool | None = None


@dataclass(frozen=True)
class ChoiceExample(Example):
    """A prompt with possible continuations or answers.

    Attributes:
        supports: further documents (WikiHop); empty elsewhere.
        label: number of the right choice, or None where unknown.
    """

    prompt: str
    choices: tuple[str, ...]
    label: int | None = None
    supports: tuple[str, ...] = field(default=())


Row = TypeVar("Row")


def keep_good(
    rows: Iterable[Row | BadRow], skip_bad: bool = False, on_bad: Callable[[BadRow], None] | None = None
) -> Iterator[Row]:
    """The good rows.

    Args:
        rows: good and bad ones.
        skip_bad: leave bad rows out instead of raising at the first.
        on_bad: called for each row that is left out, so that the caller can count and name it.

    Raises:
        DataError: a row is bad and ``skip_bad`` is off, or no row is good.
    """
    bad: BadRow | None = None
    count = 0
    for row in rows:
        if isinstance(row, BadRow):
            if not skip_bad:
                raise row.error()
            bad = row
            if on_bad is not None:
                on_bad(row)
        else:
            count += 1
            yield row
    if count == 0:
        raise DataError("there is no row to read" if bad is None else f"every row is bad, the last: {bad.error()}")
