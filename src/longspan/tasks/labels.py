"""Labels of texts: what a data set's labels are, and what one of them is as a target.

Three kinds of problem: one class of several ("single"), any number of classes ("multi"), a number ("regression"). The
labels themselves tell which, if nobody does: lists are "multi"; numbers with fractions among them are a regression;
all else, whole numbers too, is the name of a class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from longspan.tasks.examples import DataError, Source, TextExample
from longspan.tasks.faults import describe, some
from longspan.tasks.tables import read_tables, suffix_of

PROBLEMS = {
    "single": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
}
"""Our names of the problems -> those of a configuration's ``problem_type``."""

CLASS_LIMIT = 100_000
"""Most class names of a data set."""

Label = str | tuple[str, ...] | float | None


def read_label(value: Any, separator: str | None = None) -> Label:
    """A label as a row has it: text, a number, a list of either; "" and null are none.

    Args:
        value: a field of a row.
        separator: what stands between the names of several classes in a text; None where a text is one name.

    Raises:
        ValueError: it is anything else, NaN or infinite, or a list that names a class twice.
    """
    if value is None or value == "":
        return None if separator is None or value is None else ()
    if isinstance(value, str):
        return value if separator is None else _distinct(v.strip() for v in value.split(separator) if v.strip())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise ValueError(f"the label is {value}")
        return float(value)
    if isinstance(value, (list, tuple)):
        names = [read_label(item) for item in value]
        if any(isinstance(name, tuple) or name is None for name in names):
            raise ValueError("a list of labels must hold class names only")
        return _distinct(map(class_name, names))
    raise ValueError(f"a label must be text, a number or a list of class names, this is {describe(value)}")


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    found = tuple(names)
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise ValueError(f"the list of labels has {twice!r} twice: it must hold class names, not a 0 or 1 for each")
    return found


def class_name(label: Any) -> str:
    """The class that a label names: 1 and 1.0 are "1"."""
    if isinstance(label, float):
        return str(int(label)) if label.is_integer() else repr(label)
    return str(label)


def learn_labels(
    examples: Iterable[TextExample], problem: str | None = None, column: str = "label"
) -> tuple[str, list[str]]:
    """The kind of problem, and the class names in order (by value where all are numbers, else by the alphabet).

    Args:
        examples: the training set, read once; those without a label are left out.
        problem: a key of ``PROBLEMS``, or None to go by the labels.
        column: where the labels stand, for messages.

    Raises:
        DataError: there is no label, or but one class, or too many; or numbers, text and lists are mixed so that the
            problem has to be said.
    """
    names: set[str] = set()
    first: dict[str, Source] = {}
    source: Source | None = None
    for example in examples:
        label, source = example.label, source or example.source
        if label is None:
            continue
        first.setdefault(_kind(label), example.source)
        # What has fractions becomes a regression: do not keep its numbers.
        if problem != "regression" and (problem or "a fraction" not in first):
            names.update(map(class_name, label if isinstance(label, tuple) else (label,)))
        if len(names) > CLASS_LIMIT:
            raise DataError(f"{example.source}: more than {CLASS_LIMIT:,} different labels in {column!r}")
    if source is None:
        raise DataError("there is no example to learn from")
    file = source.file
    if not first:
        raise DataError(f"{file}: no row has a label in {column!r}{_columns_of(file)}")
    problem = problem or _choose_problem(first, column)
    if problem == "regression":
        return problem, []
    if problem == "single" and len(names) == 1:
        raise DataError(
            f"{file}: every row has the same label in {column!r}, {names.pop()!r}: there is nothing to learn"
        )
    if not names:
        raise DataError(f"{file}: no row names a class in {column!r}")
    return problem, sorted(names, key=_by_value if all(map(_is_number, names)) else None)


def _columns_of(file: str) -> str:
    row = next(iter(read_tables(file)), None) if suffix_of(file) else None
    return f"; there are: {some(row[1])}" if isinstance(row, tuple) else ""


def _kind(label: str | tuple[str, ...] | float) -> str:
    if isinstance(label, tuple):
        return "a list"
    if isinstance(label, str) and not _is_number(label):
        return "text"
    if not float(label).is_integer():
        return "a fraction"
    return "a whole number" if isinstance(label, float) else "a whole number as text"


def _choose_problem(first: dict[str, Source], column: str) -> str:
    number, text = first.get("a fraction") or first.get("a whole number"), first.get("text")
    if number and text:
        raise DataError(
            f"{text}: the label in {column!r} is text, and a number at {number}: mend one of the rows, or say that the "
            "problem is 'single' or 'multi' (every value names a class) or 'regression'"
        )
    if "a list" in first:
        single = number or text or first.get("a whole number as text")
        if single:
            raise DataError(
                f"{first['a list']}: the label in {column!r} is a list, and {'a number' if number else 'text'} at "
                f"{single}: mend one of the rows, or say that the problem is 'multi' (every value names classes)"
            )
        return "multi"
    return "regression" if "a fraction" in first else "single"


def _is_number(text: str) -> bool:
    try:
        # float reads "1_000", "nan" and the digits of all scripts
        return math.isfinite(float(text)) and text.isascii() and "_" not in text
    except ValueError:
        return False


def _by_value(name: str) -> tuple[float, str]:
    return float(name), name


def class_numbers(label: str | tuple[str, ...] | float, places: Mapping[str, int]) -> list[int]:
    """The numbers of a label's classes. A number also finds the class ``LABEL_<number>``, which nobody gave a name.

    Raises:
        ValueError: a class is not among ``places``.
    """
    found = []
    for name in map(class_name, label if isinstance(label, tuple) else (label,)):
        place = places.get(name, places.get(f"LABEL_{name}"))
        if place is None:
            raise ValueError(f"unknown label {name!r}; the model knows: {some(places)}")
        found.append(place)
    return found


def as_number(label: str | tuple[str, ...] | float) -> float:
    """The number that is a regression's target.

    Raises:
        ValueError: the label is none.
    """
    if isinstance(label, float) or (isinstance(label, str) and _is_number(label)):
        return float(label)
    raise ValueError(f"the label of a regression must be a number, this is {label!r}")
