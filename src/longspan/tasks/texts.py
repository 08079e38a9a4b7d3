"""Texts to learn a language from: documents of plain text files, and the text column of tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from longspan.tasks.examples import BadRow, DataError, Source, TextExample
from longspan.tasks.files import open_lines, read_text
from longspan.tasks.tables import describe, read_tables, suffix_of

LAYOUTS = ("text", "lines", "file", "table")
"""``text``: blank lines part documents; ``lines``: each line is a document; ``file``: each file is one; ``table``: each
row's field ``text`` is one."""

_TEXTS = (".txt", ".txt.gz", ".txt.bz2", ".txt.xz")


def read_texts(path: str, layout: str | None = None) -> Iterator[TextExample | BadRow]:
    """The documents of a file, or of the text files of a folder in the order of their names.

    Args:
        path: a text file, compressed or not, a folder of files ``*.txt``, or a table.
        layout: one of ``LAYOUTS``; None for ``table`` where the name says so (``.jsonl``, ``.csv``, a folder without
            text files, ...), else ``text``.

    Raises:
        DataError: there is nothing to read, or no such layout; a table without the column ``text``.
        OSError: it cannot be opened.
    """
    if layout not in (None, *LAYOUTS):
        raise DataError(f"{path}: there is no layout {layout!r} of texts; the layouts are {', '.join(LAYOUTS)}")
    files = _text_files(path)
    if layout == "table" or (layout is None and not files):
        yield from _read_table(path)
        return
    for file in files or [path]:
        if layout == "file":
            yield TextExample(file, Source(file), read_text(file))
        else:
            yield from _read_lines(file, alone=layout == "lines")


def _text_files(path: str) -> list[str]:
    """The plain text files that ``path`` stands for; none where it is a table."""
    if Path(path).is_dir():
        return sorted(str(file) for file in Path(path).iterdir() if file.name.lower().endswith(_TEXTS))
    # what does not exist may be a split in a folder of tables
    return [] if suffix_of(path) or not Path(path).exists() else [path]


def _read_lines(file: str, alone: bool) -> Iterator[TextExample | BadRow]:
    """Documents parted by blank lines, or by every line; a bad line ends the document before it."""
    lines: list[str] = []
    first = 0
    for row in open_lines(file):
        blank = isinstance(row, BadRow) or not row[1].strip()
        if lines and (blank or alone):
            yield _document(file, first, lines)
            lines = []
        if isinstance(row, BadRow):
            yield row
        elif not blank:
            first = first if lines else row[0]
            lines.append(row[1])
    if lines:
        yield _document(file, first, lines)


def _document(file: str, first: int, lines: list[str]) -> TextExample:
    source = Source(file, first)
    return TextExample(str(source), source, "\n".join(lines))


def _read_table(path: str) -> Iterator[TextExample | BadRow]:
    for row in read_tables(path, ("text",)):
        if isinstance(row, BadRow):
            yield row
            continue
        source, fields = row
        text = fields["text"]
        if isinstance(text, str):
            yield TextExample(str(source if fields.get("id") is None else fields["id"]), source, text)
        else:
            yield BadRow(source, f"the column 'text' must hold text, this is {describe(text)}")
