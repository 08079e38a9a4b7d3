"""The layouts of texts with labels: which there are, and which one a file has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from longspan.tasks.examples import BadRow, DataError, TextExample
from longspan.tasks.layouts.columns import Columns, read_columns
from longspan.tasks.layouts.contract_nli import holds_contract_nli, read_contract_nli
from longspan.tasks.layouts.glue import GLUE, read_glue, recognise_glue
from longspan.tasks.layouts.hyperpartisan import holds_hyperpartisan, read_hyperpartisan
from longspan.tasks.layouts.imdb import holds_imdb, read_imdb
from longspan.tasks.tables import first_line, suffix_of

TABLE = "table"

LAYOUTS: dict[str, Callable[[str], Iterator[TextExample | BadRow]]] = {
    **{name: partial(read_glue, layout=name) for name in GLUE},
    "contract-nli": read_contract_nli,
    "hyperpartisan": read_hyperpartisan,
    "imdb": read_imdb,
}
"""Published layouts; "table", which is read by column names, is one more."""


def read_labelled(path: str, columns: Columns, layout: str) -> Iterator[TextExample | BadRow]:
    """The rows of a file or folder; a text without anything in it is a bad row.

    Args:
        path: file or folder.
        columns: of a table.
        layout: a key of ``LAYOUTS``, or "table".

    Raises:
        DataError: there is no such layout, or the file is not of it.
        OSError: it cannot be opened.
    """
    if layout not in (TABLE, *LAYOUTS):
        raise DataError(f"{path}: unknown layout {layout!r}; classify knows {', '.join((TABLE, *LAYOUTS))}")
    published = None if layout == TABLE else layout
    for example in read_columns(path, columns) if published is None else LAYOUTS[published](path):
        yield example if isinstance(example, BadRow) else _refuse_empty(replace(example, layout=published))


def recognise_layout(path: str, columns: Columns) -> str:
    """The layout of a file or folder, by its name and its beginning; a table where ``columns`` are chosen."""
    if columns.chosen():
        return TABLE
    if holds_hyperpartisan(path):
        return "hyperpartisan"
    if Path(path).is_dir():
        return "imdb" if holds_imdb(path) else TABLE
    suffix = suffix_of(path)
    if suffix == ".json" and holds_contract_nli(path):
        return "contract-nli"
    return (recognise_glue(first_line(path)) if suffix == ".tsv" else None) or TABLE


def _refuse_empty(example: TextExample) -> TextExample | BadRow:
    for which, text in (("text", example.text), ("second text", example.text_pair)):
        if text is not None and not text.strip():
            return BadRow(example.source, f"the {which} is empty")
    return example
