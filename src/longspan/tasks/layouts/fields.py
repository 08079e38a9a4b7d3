"""Fields of a published layout's entries, checked: what is missing or of another type is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from longspan.tasks.examples import DataError, Source
from longspan.tasks.files import read_json

_KINDS: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}


def get_text(entry: Any, name: str) -> str:
    """A text with something in it.

    Raises:
        ValueError: it is missing, no text, or blank.
    """
    text: str = _get(entry, name, str)
    if not text.strip():
        raise ValueError(f"{name!r} is blank")
    return text


def get_list(entry: Any, name: str) -> list[Any]:
    """A list, which may be empty.

    Raises:
        ValueError: it is missing or no list.
    """
    found: list[Any] = _get(entry, name, list)
    return found


def get_texts(entry: Any, name: str) -> tuple[str, ...]:
    """A list of texts.

    Raises:
        ValueError: it is missing, no list, or holds anything else.
    """
    found = get_list(entry, name)
    wrong = next((x for x in found if not isinstance(x, str)), None)
    if wrong is not None:
        raise ValueError(f"{name!r} must be a list of texts, it holds {shorten(wrong)}")
    return tuple(found)


def get_id(entry: Mapping[str, Any], name: str, source: Source) -> str:
    """The entry's own id, or where it stands."""
    value = entry.get(name)
    return str(source) if value is None or value == "" else str(value)


def _get(entry: Any, name: str, kind: type) -> Any:
    if not isinstance(entry, Mapping):
        raise ValueError(f"an object with {name!r} is wanted, got {shorten(entry)}")
    if entry.get(name) is None:
        raise ValueError(f"{name!r} is missing; there is {', '.join(map(repr, entry)) or 'nothing'}")
    if not isinstance(entry[name], kind):
        raise ValueError(f"{name!r} must be {_KINDS[kind]}, got {shorten(entry[name])}")
    return entry[name]


def read_entries(path: str, layout: str) -> Iterator[tuple[Source, Any]]:
    """The entries of a JSON list, each with its place.

    Raises:
        DataError: the file is no JSON, or no list with something in it.
        OSError: it cannot be opened.
    """
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: not in the layout of {layout}: a list of entries is wanted, got {shorten(entries)}")
    for number, entry in enumerate(entries, start=1):
        yield Source(path, number), entry


def shorten(value: Any, limit: int = 60) -> str:
    """A value for a message, on one line."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
