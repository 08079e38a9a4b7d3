"""Rows of tables: JSON lines, JSON lists, CSV, TSV, parquet and arrow files, and the folders that ``datasets`` writes.

Text files are read a row at a time; only a JSON list (``.json``) has to fit into memory. A column that a whole table
lacks is an error that says which are there; what is wrong with one row is a bad row in its place.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from longspan.tasks.arrow_files import find_tables, is_table_file, read_arrow
from longspan.tasks.examples import BadRow, DataError, Source
from longspan.tasks.faults import describe, lacking
from longspan.tasks.files import LINE_LIMIT, open_lines, parse_json, read_json

Row = tuple[Source, dict[str, Any]]
"""Where a row stands, and its fields by column: text in CSV and TSV, else what JSON and arrow have."""

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
_PACKED = (".gz", ".bz2", ".xz")


def read_tables(path: str, columns: Sequence[str] = (), names: Sequence[str] | None = None) -> Iterator[Row | BadRow]:
    """The rows of a table, one at a time, bad ones in their places.

    The kind goes by the suffix (one of ``SUFFIXES``, before .gz, .bz2 or .xz). In CSV a field in quotes may hold
    commas, line breaks and doubled quotes; in TSV a quote is a character like any other, and every line is a row. Class
    numbers of parquet and arrow tables become class names where ``datasets`` wrote them.

    Args:
        path: a file; or a folder of ``datasets``, or ``FOLDER/SPLIT`` where it holds several splits.
        columns: what each row must have.
        names: column names of a CSV or TSV file that has no header line.

    Raises:
        DataError: the file is empty or of an unknown kind, a table lacks a column, or the folder holds no table.
        OSError: it cannot be opened.
    """
    suffix = suffix_of(path)
    if Path(path).is_dir() or is_table_file(path) or not suffix:
        rows = read_arrow(find_tables(path), columns)
    elif suffix in (".csv", ".tsv"):
        rows = _with_columns(path, _read_csv(path) if suffix == ".csv" else _read_tsv(path), columns, names)
    elif suffix == ".json" and not _holds_objects(path):
        rows = _read_list(path, columns)
    else:
        rows = _read_objects(path, columns)
    found = False
    for row in rows:
        found = True
        yield row
    if not found:
        raise DataError(f"{path}: there is no row")


def suffix_of(path: str) -> str:
    """The suffix of a table, compression left out; "" if it is none of ``SUFFIXES``."""
    file = Path(path)
    suffix = (file.with_suffix("") if file.suffix.lower() in _PACKED else file).suffix.lower()
    return suffix if suffix in SUFFIXES else ""


def first_line(path: str) -> str:
    """The first line that is not blank and can be read, "" if there is none: by it a layout is recognised."""
    return next((row[1] for row in open_lines(path) if not isinstance(row, BadRow) and row[1].strip()), "")


def _read_objects(path: str, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    for line in open_lines(path):
        if isinstance(line, BadRow):
            yield line
        elif line[1].strip():
            source = Source(path, line[0])
            try:
                value = parse_json(line[1])
            except json.JSONDecodeError as error:
                yield BadRow(source, f"column {error.colno}: not JSON: {error.msg}")
            except ValueError as error:
                yield BadRow(source, str(error))
            else:
                yield _object(source, value, columns)


def _read_list(path: str, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    document = read_json(path)
    if not isinstance(document, list):
        inside = f" with the keys {', '.join(map(repr, document))}" if isinstance(document, dict) else ""
        raise DataError(f"{path}: rows are JSON objects, one a line or in a list; this is {describe(document)}{inside}")
    for number, value in enumerate(document, 1):
        yield _object(Source(path, number), value, columns)


def _object(source: Source, value: Any, columns: Sequence[str]) -> Row | BadRow:
    if not isinstance(value, dict):
        return BadRow(source, f"a row must be a JSON object, this is {describe(value)}")
    fault = lacking(columns, value)
    return BadRow(source, fault) if fault else (source, value)


def _holds_objects(path: str) -> bool:
    """Whether a .json file is in truth JSON lines: its first line is an object by itself."""
    try:
        return isinstance(parse_json(first_line(path)), dict)
    except ValueError:
        return False


Fields = tuple[int, int, list[str]]
"""First and last line of a record, and its fields."""


def _with_columns(
    path: str, records: Iterator[Fields | BadRow], columns: Sequence[str], names: Sequence[str] | None
) -> Iterator[Row | BadRow]:
    if names is None:
        header = next(records, None)
        if header is None:
            raise DataError(f"{path}: there is no header line")
        if isinstance(header, BadRow):
            raise header.error()
        names = header[2]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path}: the header names the column {twice[0]!r} twice")
    fault = lacking(columns, names)
    if fault:
        raise DataError(f"{path}: {fault}")
    for record in records:
        if isinstance(record, BadRow):
            yield record
            continue
        line, last, fields = record
        if len(fields) == len(names):
            yield Source(path, line), dict(zip(names, fields, strict=True))
        else:
            until = f", on lines {line} to {last}" if last > line else ""
            yield BadRow(Source(path, line), f"{len(fields)} fields{until}, where the header has {len(names)}")


def _read_tsv(path: str) -> Iterator[Fields | BadRow]:
    for line in open_lines(path):
        if isinstance(line, BadRow):
            yield line
        elif line[1].strip("\r\n "):
            yield line[0], line[0], line[1].split("\t")


def _read_csv(path: str) -> Iterator[Fields | BadRow]:
    """Records of one or more lines. A fault in any of its lines makes a record bad.

    Where quotes are wrong, nobody knows where the record ends: only its first line is given up, and those behind it
    are read again, so that one stray quote does not swallow the rest of the file.
    """
    # Python's own limit, 131,072 characters, is shorter than many a document; there is one for the whole process.
    csv.field_size_limit(max(csv.field_size_limit(), LINE_LIMIT))
    unread = open_lines(path)
    again: deque[tuple[int, str] | BadRow] = deque()
    record: list[tuple[int, str] | BadRow] = []

    def lines() -> Iterator[str]:
        length = 0
        while (line := again.popleft() if again else next(unread, None)) is not None:
            length = length * bool(record) + (0 if isinstance(line, BadRow) else len(line[1]))
            record.append(line)
            if length > LINE_LIMIT and len(record) > 1:  # what an open quote keeps in memory
                raise csv.Error(f"a record of more than {LINE_LIMIT:,} characters")
            yield "" if isinstance(line, BadRow) else line[1] + "\n"

    reader = csv.reader(lines(), strict=True)
    while True:
        record.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            first, last = (_line_of(record[i]) for i in (0, -1))
            found = f", in the quotes that it opens, at line {last}" if last > first else ""
            yield BadRow(Source(path, first), f"not CSV: {error}{found}")
            again.extendleft(reversed(record[1:]))
            reader = csv.reader(lines(), strict=True)
            continue
        fault = next((line for line in record if isinstance(line, BadRow)), None)
        if fault is not None:
            yield fault
        elif fields is None:
            return
        elif fields:
            yield _line_of(record[0]), _line_of(record[-1]), fields


def _line_of(line: tuple[int, str] | BadRow) -> int:
    return (line.source.line or 0) if isinstance(line, BadRow) else line[0]
