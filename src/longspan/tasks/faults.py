"""The words in which faults of rows are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_SHOWN = 12


def lacking(wanted: Iterable[str], there: Iterable[str]) -> str | None:
    """What to say of a table or row without a wanted column; None where all are there."""
    there = list(there)
    missing = [name for name in wanted if name not in there]
    return f"no column {', '.join(map(repr, missing))}; there are: {some(there)}" if missing else None


def some(names: Iterable[str]) -> str:
    """Names for a message: the first twelve, shortened."""
    names = list(names)
    return (", ".join(repr(name[:60]) for name in names[:_SHOWN]) or "none") + (", ..." if len(names) > _SHOWN else "")


def describe(value: Any) -> str:
    """The kind of a JSON value."""
    if value is None:
        return "null"
    for kind, name in ((str, "text"), (bool, "true or false"), ((int, float), "a number"), (dict, "an object")):
        if isinstance(value, kind):
            return name
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"
