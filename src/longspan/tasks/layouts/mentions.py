"""Where names stand in a text."""

from __future__ import annotations

from collections.abc import Iterable


def find_mentions(text: str, names: Iterable[str]) -> list[tuple[int, int]]:
    """Where one of the names stands, whatever its case, as whole words: (start, end) code points, sorted.

    What lies within a longer mention is left out.
    """
    folded = _fold(text)
    found = set()
    for name in {_fold(name.strip()) for name in names} - {""}:
        start = folded.find(name)
        while start >= 0:
            end = start + len(name)
            if not _joined(folded, start) and not _joined(folded, end):
                found.add((start, end))
            start = folded.find(name, start + 1)
    kept: list[tuple[int, int]] = []
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if not kept or end > kept[-1][1]:
            kept.append((start, end))
    return kept


def _joined(text: str, place: int) -> bool:
    """Whether the code points before and after a place are of one word."""
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()


def _fold(text: str) -> str:
    """The text in lower case, a code point for each of its own, so that places mean the same."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return lower
