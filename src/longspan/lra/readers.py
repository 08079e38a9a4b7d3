"""The five tasks as published: which files they are, and the token ids and classes of their rows.

Every reader gives, for a part of the data set, documents as sequences of ids; 0 is padding in all tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from longspan.lra.listops import CLASSES, encode_expression, evaluate, split_expression
from longspan.lra.pictures import read_cifar, read_pathfinder
from longspan.lra.rows import Row
from longspan.tasks.examples import BadRow, DataError, TextExample
from longspan.tasks.files import open_lines
from longspan.tasks.layouts.imdb import LABELS, read_imdb

BYTES = 257
"""Ids of bytes: a byte and 1; 0 is padding."""

Reader = Callable[[Path, str, int], Iterator[Row]]
"""From the data, the part and the most tokens of a document to the rows."""

_LISTOPS = {"train": "basic_train.tsv", "validation": "basic_val.tsv", "test": "basic_test.tsv"}
_AAN = {"train": "train", "validation": "eval", "test": "test"}


@dataclass(frozen=True)
class DataKind:
    """What a task's data is like.

    Attributes:
        read: its reader.
        classes: how many.
        vocabulary: ids are below it.
        documents: of each row.
    """

    read: Reader
    classes: int
    vocabulary: int
    documents: int = 1


def read_listops(data: Path, part: str, max_length: int) -> Iterator[Row]:
    """Expressions of ``basic_*.tsv``, with parentheses as published or without.

    Raises:
        DataError: a line is no expression with its value.
        OSError: a file cannot be opened.
    """
    path = _first(data / _LISTOPS[part], data / "listops-1000" / _LISTOPS[part])
    for place, line in _lines(path):
        if place == 1 and line.startswith("Source"):
            continue
        text, tab, target = line.partition("\t")
        if not tab or target.strip() not in map(str, range(CLASSES)):
            raise DataError(f"{path}:{place}: an expression, a tab and a digit are expected")
        tokens = split_expression(text)
        try:
            value = evaluate(tokens)
        except ValueError as error:
            raise DataError(f"{path}:{place}: {error}") from None
        if value != int(target):
            raise DataError(f"{path}:{place}: the expression comes to {value}, the line says {target.strip()}")
        yield [encode_expression(tokens[:max_length])], value


def read_text(data: Path, part: str, max_length: int) -> Iterator[Row]:
    """Bytes of IMDb reviews; as published, the test reviews are also those of validation.

    Raises:
        DataError: a row is bad.
        OSError: a file cannot be opened.
    """
    name = "train" if part == "train" else "test"
    path = _first(data / name, *(data / f"{name}.jsonl{packed}" for packed in ("", ".xz", ".gz", ".bz2")))
    for row in read_imdb(str(path)):
        if isinstance(row, BadRow):
            raise row.error()
        assert isinstance(row, TextExample)
        if row.label not in LABELS:
            raise DataError(f"{row.source}: label must be one of {', '.join(LABELS)}, got {row.label!r}")
        yield [_bytes(row.text, max_length)], LABELS.index(row.label)


def read_retrieval(data: Path, part: str, max_length: int) -> Iterator[Row]:
    """Bytes of pairs of papers, and whether one cites the other: ``new_aan_pairs.*.tsv`` without a header line.

    Fields: label, both ids, both texts.

    Raises:
        DataError: a line has other fields.
        OSError: a file cannot be opened.
    """
    name = f"new_aan_pairs.{_AAN[part]}.tsv"
    path = _first(data / name, data / "tsv_data" / name)
    for place, line in _lines(path, errors="surrogateescape"):  # a byte is a token, whatever the encoding
        fields = line.split("\t")
        if len(fields) != 5:
            raise DataError(f"{path}:{place}: five fields (label, two ids, two texts) are expected, got {len(fields)}")
        try:
            label = float(_unquote(fields[0]))
        except ValueError:
            label = -1
        if label not in (0, 1):
            raise DataError(f"{path}:{place}: the label must be 0 or 1, got {fields[0]!r}")
        yield [_bytes(_unquote(text), max_length) for text in fields[3:]], int(label)


KINDS = {
    "listops": DataKind(read_listops, CLASSES, 16),
    "text": DataKind(read_text, 2, BYTES),
    "retrieval": DataKind(read_retrieval, 2, BYTES, documents=2),
    "image": DataKind(read_cifar, 10, 256),
    "pathfinder32": DataKind(read_pathfinder, 2, 256),
    "pathfinder64": DataKind(partial(read_pathfinder, side=64), 2, 256),
}
"""Task -> what its data is like."""


def _lines(path: Path, errors: str = "strict") -> Iterator[tuple[int, str]]:
    for line in open_lines(str(path), errors=errors):
        if isinstance(line, BadRow):
            raise line.error()
        yield line


def _first(*paths: Path) -> Path:
    """The first of the paths that is there.

    Raises:
        FileNotFoundError: none is.
    """
    for path in paths:
        if path.exists():
            return path
    others = (str(path.relative_to(paths[0].parent)) for path in paths[1:])
    raise FileNotFoundError(2, f"no such file, nor {', nor '.join(others)}", str(paths[0]))


def _bytes(text: str, max_length: int) -> np.ndarray:
    return np.frombuffer(text.encode(errors="surrogateescape")[:max_length], np.uint8).astype(np.uint16) + 1


def _unquote(field: str) -> str:
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field
