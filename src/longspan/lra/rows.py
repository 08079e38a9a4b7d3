"""Rows of token ids with a label, on disk and read from there: one folder for each part of a data set.

``tokens.bin`` holds the ids of all documents one after the other, ``ends.npy`` where each ends, ``labels.npy`` the
class of each row, ``about.json`` the rest. A row has one document or two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longspan.atomic import write_folder
from longspan.tasks.examples import DataError
from longspan.train.manifest import hash_file

PARTS = ("train", "validation", "test")

Row = tuple[Sequence[Any], int]
"""The documents of a row, each a sequence of ids, and its class."""


def write_rows(folder: Path, rows: Iterable[Row], *, documents: int, vocabulary: int, about: dict[str, Any]) -> None:
    """Write rows; the folder is there whole or not at all.

    Args:
        folder: of this part.
        rows: read once, not kept.
        documents: of each row, 1 or 2.
        vocabulary: ids are below it.
        about: what else is to be known of the rows.

    Raises:
        DataError: there is no row, or nothing in any.
    """
    kind = np.dtype(np.uint8 if vocabulary <= 256 else np.uint16)
    ends, labels, end = [], [], 0
    with write_folder(folder) as partial:
        with (partial / "tokens.bin").open("wb") as file:
            for texts, label in rows:
                for ids in texts:
                    file.write(np.asarray(ids, kind).tobytes())
                    end += len(ids)
                    ends.append(end)
                labels.append(label)
        if not labels:
            raise DataError(f"{folder.name}: there is no row")
        if not end:
            raise DataError(f"{folder.name}: all documents are empty")
        np.save(partial / "ends.npy", np.array(ends, np.int64))
        np.save(partial / "labels.npy", np.array(labels, np.uint8))
        about = {**about, "documents": documents, "vocabulary": vocabulary, "dtype": kind.name, "rows": len(labels)}
        (partial / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def holds_rows(folder: Path) -> bool:
    """Whether all parts of a data set are in the folder."""
    return all((folder / part / "about.json").is_file() for part in PARTS)


class Rows:
    """The rows of one part, read from the disk when they are asked for.

    Args:
        folder: written by :func:`write_rows`.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        self.documents: int = self.about["documents"]
        self.labels: NDArray[np.uint8] = np.load(folder / "labels.npy")
        self._ends = np.load(folder / "ends.npy", mmap_mode="r")
        self._tokens = np.memmap(folder / "tokens.bin", np.dtype(self.about["dtype"]), "r")

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[list[NDArray[Any]]]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> list[NDArray[Any]]:
        """The documents of a row."""
        if not 0 <= row < len(self):
            raise IndexError(f"row must be in 0..{len(self) - 1}, got {row}")
        return [self._document(row * self.documents + i) for i in range(self.documents)]

    @property
    def longest(self) -> int:
        """Tokens of the longest document."""
        return int(np.diff(self._ends, prepend=0).max())

    def _document(self, number: int) -> NDArray[Any]:
        start = self._ends[number - 1] if number else 0
        return self._tokens[start : self._ends[number]]


def hash_rows(parts: Mapping[str, Rows]) -> str:
    """A SHA-256 of the documents and labels of a data set; it takes a second a gigabyte."""
    files = [parts[part].folder / name for part in PARTS for name in ("tokens.bin", "ends.npy", "labels.npy")]
    return hashlib.sha256("".join(map(hash_file, files)).encode()).hexdigest()
