"""Tagged words in the formats people have: CoNLL columns, and JSON rows of words and tags or of text and spans.

Tags are ``O``, or ``B-``, ``I-``, ``E-`` or ``S-`` and the kind of the entity: BIO in both its forms (an entity begins
with ``B-`` always, or only after another of its kind), and BIOES.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from longspan.tasks.examples import BadRow, DataError, Source, TaggedExample
from longspan.tasks.files import open_lines
from longspan.tasks.tables import read_tables, suffix_of

LAYOUTS = ("conll", "table")
"""``conll``: columns and blank lines; ``table``: rows {tokens, tags} or {text, spans}."""

OUTSIDE = "O"
"""The tag of a word that belongs to no entity."""

_TAG = re.compile(r"O|[BIES]-.+")
_WORD = re.compile(r"\w+|[^\w\s]")
_DOCUMENT = "-DOCSTART-"


def read_tagged(path: str, layout: str | None = None) -> Iterator[TaggedExample | BadRow]:
    """The examples of a CoNLL file, or of the rows of a table.

    Args:
        path: a file, compressed or not, or a folder of `datasets`.
        layout: one of ``LAYOUTS``; None for ``table`` where the name says JSON, parquet, arrow or a folder, else
            ``conll``.

    Raises:
        DataError: there is nothing to read, or no such layout.
        OSError: it cannot be opened.
    """
    if layout not in (None, *LAYOUTS):
        raise DataError(f"{path}: there is no layout {layout!r} of tagged words; the layouts are {', '.join(LAYOUTS)}")
    if layout is None:
        # a table of comma or tab separated fields has no lists: with tabs it is CoNLL
        columns = suffix_of(path) in ("", ".csv", ".tsv") and Path(path).is_file()
        layout = "conll" if columns else "table"
    if layout == "conll":
        yield from read_conll(path)
        return
    for row in read_tables(path):
        if isinstance(row, BadRow):
            yield row
        else:
            source, fields = row
            yield from_row(fields, str(source if fields.get("id") is None else fields["id"]), source)


def read_conll(path: str) -> Iterator[TaggedExample | BadRow]:
    """The sentences of a CoNLL file, one example each; the text is the words with a blank between.

    A line is a word and its columns, parted by tabs, or by blanks where it has no tab; the last column is the tag. A
    blank line ends a sentence. Lines of ``-DOCSTART-`` are left out. A file of words alone has no tags.

    Args:
        path: a file, compressed or not.

    Raises:
        DataError: the file is empty.
        OSError: it cannot be opened.
    """
    rows: list[list[str]] = []
    first = 0
    fault: BadRow | None = None
    columns = 0

    def sentence() -> TaggedExample | BadRow:
        if fault is not None:
            return fault
        source = Source(path, first)
        words = [row[0] for row in rows]
        return _from_words(str(source), source, words, [row[-1] for row in rows] if columns > 1 else None)

    for line in open_lines(path):
        if isinstance(line, BadRow):
            fault = fault or line
            continue
        number, text = line
        if not text.strip():
            if rows or fault:
                yield sentence()
            rows, fault = [], None
            continue
        cells = _split_columns(text.strip(" \t"))
        if cells[0] == _DOCUMENT:
            continue
        columns = columns or len(cells)
        if len(cells) != columns:
            fault = fault or BadRow(
                Source(path, number), f"the line has {len(cells)} columns and those before it {columns}: {text[:60]!r}"
            )
        elif columns > 1 and not _TAG.fullmatch(cells[-1]):
            fault = fault or BadRow(Source(path, number), _bad_tag(cells[-1]))
        first = first if rows else number
        rows.append(cells)
    if rows or fault:
        yield sentence()


def from_row(fields: Mapping[str, Any], id: str, source: Source) -> TaggedExample | BadRow:
    """The example of a row {tokens, tags} or {text, spans}; ``tags`` and ``spans`` may be missing.

    ``ner_tags``, the name in many public data sets, is read as ``tags``. A span is an object with ``start``, ``end``,
    ``label`` and perhaps ``text``, or a list of the first three; offsets are code points, the end excluded. Words are
    runs of letters and digits, and other signs one by one; where a span begins or ends inside a word, it parts it.
    """
    try:
        if "tokens" in fields:
            key = "tags" if "tags" in fields else "ner_tags"
            words = _strings(fields, "tokens")
            tags = None if fields.get(key) is None else _strings(fields, key)
            if tags is not None and len(tags) != len(words):
                raise ValueError(f"{len(words)} tokens have {len(tags)} tags")
            wrong = next((tag for tag in tags or () if not _TAG.fullmatch(tag)), None)
            if wrong is not None:
                raise ValueError(_bad_tag(wrong))
            return _from_words(id, source, words, tags)
        text = fields.get("text")
        if not isinstance(text, str):
            raise ValueError(f"a row needs tokens, a list of words, or text; it has {', '.join(fields) or 'nothing'}")
        spans = fields.get("spans")
        return _from_spans(id, source, text, None if spans is None else _read_spans(spans, text))
    except ValueError as error:
        return BadRow(source, str(error))


def find_entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(kind, first word, last word) of each entity, as the script ``conlleval`` and seqeval read tags."""
    found: list[tuple[str, int, int]] = []
    begin = -1
    for i, (before, tag) in enumerate(pairwise([OUTSIDE, *tags, OUTSIDE])):
        same = before[1:] == tag[1:]
        if before != OUTSIDE and not (same and before[0] in "BI" and tag[0] in "IE"):
            found.append((before[2:], begin, i - 1))
            begin = -1
        if tag != OUTSIDE and begin < 0:
            begin = i
    return found


def _split_columns(text: str) -> list[str]:
    # only tabs and blanks part columns: a word may be any other white space
    if "\t" in text:
        return [cell.strip(" ") for cell in text.split("\t")]
    return [cell for cell in text.split(" ") if cell]


def _from_words(id: str, source: Source, words: Sequence[str], tags: Sequence[str] | None) -> TaggedExample | BadRow:
    empty = next((i for i, word in enumerate(words) if not word), None)
    if empty is not None:
        return BadRow(source, f"word {empty + 1} is empty")
    offsets, place = [], 0
    for word in words:
        offsets.append((place, place + len(word)))
        place += len(word) + 1
    return TaggedExample(id, source, " ".join(words), tuple(offsets), None if tags is None else tuple(tags))


def _from_spans(id: str, source: Source, text: str, spans: list[tuple[int, int, str]] | None) -> TaggedExample:
    edges = sorted({edge for start, end, _ in spans or () for edge in (start, end)})
    offsets: list[tuple[int, int]] = []
    k = 0
    for match in _WORD.finditer(text):
        start = match.start()
        while k < len(edges) and edges[k] < match.end():
            if edges[k] > start:
                offsets.append((start, edges[k]))
                start = edges[k]
            k += 1
        offsets.append((start, match.end()))
    if spans is None:
        return TaggedExample(id, source, text, tuple(offsets))
    tags = [OUTSIDE] * len(offsets)
    w = 0
    for start, end, label in spans:
        while offsets[w][0] < start:
            w += 1
        mark = "B"
        while w < len(offsets) and offsets[w][1] <= end:
            tags[w] = f"{mark}-{label}"
            mark = "I"
            w += 1
    return TaggedExample(id, source, text, tuple(offsets), tuple(tags))


def _read_spans(spans: Any, text: str) -> list[tuple[int, int, str]]:
    """Sorted spans, checked: inside the text, of at least a word, none over another."""
    if not isinstance(spans, (list, tuple)):
        raise ValueError(f"spans must be a list, got {type(spans).__name__}")
    found = []
    for span in spans:
        values = [span.get(key) for key in ("start", "end", "label")] if isinstance(span, Mapping) else span
        if not isinstance(values, (list, tuple)) or len(values) != 3:
            raise ValueError(f"a span must have start, end and label, got {span!r}")
        start, end, label = values
        if not (type(start) is int and type(end) is int and isinstance(label, str) and label):
            raise ValueError(f"a span must have whole numbers as start and end, and a label, got {span!r}")
        if not 0 <= start < end <= len(text):
            raise ValueError(f"the span {start} to {end} ({label}) is not inside the text of {len(text)} characters")
        quoted = span.get("text") if isinstance(span, Mapping) else None
        if quoted is not None and quoted != text[start:end]:
            raise ValueError(f"the span {start} to {end} ({label}) is {text[start:end]!r} in the text, not {quoted!r}")
        if not text[start:end].strip():
            raise ValueError(f"the span {start} to {end} ({label}) holds white space only")
        found.append((start, end, label))
    found.sort()
    for (start, end, label), (other, _, name) in pairwise(found):
        if other < end:
            raise ValueError(f"the span at {other} ({name}) begins inside that from {start} to {end} ({label})")
    return found


def _strings(fields: Mapping[str, Any], key: str) -> list[str]:
    values = fields.get(key)
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} must be a list of strings, got {str(values)[:60]}")
    return list(values)


def _bad_tag(tag: str) -> str:
    return f"a tag is O, or B-, I-, E- or S- and a kind of entity, got {tag!r}"
