"""WikiHop and MedHop (QAngaroo): a query, candidates, and documents that support one of them together.

``[{"id", "query", "candidates": [...], "supports": [...], "answer"}]``; no ``answer`` in a test set.

Source: Welbl, Stenetorp, Riedel: Constructing Datasets for Multi-hop Reading Comprehension Across Documents, 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from longspan.tasks.examples import BadRow, ChoiceExample, Source
from longspan.tasks.layouts.fields import get_id, get_text, get_texts, read_entries, shorten


def read_wikihop(path: str) -> Iterator[ChoiceExample | BadRow]:
    """The questions of a file, in their order; the place of one is its number in the file.

    Underscores of a query (``country_of_citizenship``) are read as spaces.

    Raises:
        DataError: the file is no JSON, or not of this layout.
        OSError: it cannot be opened.
    """
    for source, entry in read_entries(path, "WikiHop"):
        try:
            yield _example(entry, source)
        except ValueError as error:
            yield BadRow(source, str(error))


def _example(entry: Any, source: Source) -> ChoiceExample:
    query, candidates = get_text(entry, "query"), get_texts(entry, "candidates")
    if not candidates or not all(candidate.strip() for candidate in candidates):
        raise ValueError(f"'candidates' must hold texts, none of them blank, got {shorten(list(candidates))}")
    label = None
    if entry.get("answer") is not None:
        answer = get_text(entry, "answer")
        if answer not in candidates:
            raise ValueError(f"the answer {shorten(answer)} is none of the {len(candidates)} candidates")
        label = candidates.index(answer)
    return ChoiceExample(
        id=get_id(entry, "id", source),
        source=source,
        prompt=query.replace("_", " "),
        choices=candidates,
        label=label,
        supports=tuple(text for text in get_texts(entry, "supports") if text.strip()),
    )
