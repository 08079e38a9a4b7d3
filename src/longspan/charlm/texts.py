"""A text as characters, which are bytes as in enwik8 and text8, and its three parts."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longspan.tasks.examples import DataError

VOCABULARY = 256
"""Characters that there can be; ids are the bytes themselves."""

PARTS = ("train", "validation", "test")

Text = NDArray[np.uint8]

_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_ZIP = b"PK\x03\x04"
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def read_text(path: Path) -> Text:
    """The characters of a file (n,): plain, which is mapped, or gzip, bzip2, xz, or zip with one file in it.

    Raises:
        DataError: there is nothing in it, or a broken archive, or an archive of several files.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(8)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    try:
        if start.startswith(_ZIP):
            text = np.frombuffer(_read_zip(path), np.uint8)
        elif opener is not None:
            with opener(path) as file:
                text = np.frombuffer(file.read(), np.uint8)
        else:
            text = np.memmap(path, np.uint8, "r") if start else np.empty(0, np.uint8)
    except _BROKEN as error:
        raise DataError(f"{path}: a broken archive: {error}") from None
    if not len(text):
        raise DataError(f"{path}: the file is empty")
    return text


def split_text(text: Text, validation: float = 0.05, test: float = 0.05) -> dict[str, Text]:
    """Views of the text's parts, one after the other: training, validation, test.

    The default shares are the standard split of enwik8 and text8: 90, 5 and 5 million of their 100 million characters.

    Raises:
        ValueError: a share is not between 0 and 1, or a part has fewer than two characters, one to read and one to
            predict.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must be a share between 0 and 1, got {share}")
    sizes = [round(len(text) * share) for share in (validation, test)]
    ends = [len(text) - sum(sizes), len(text) - sizes[1]]
    parts = dict(zip(PARTS, np.split(text, ends) if ends[0] > 0 else [text[:0]] * 3, strict=True))
    for name, part in parts.items():
        if len(part) < 2:
            raise ValueError(
                f"{len(text):,} characters with a validation share of {validation} and a test share of {test} leave "
                f"{len(part)} for {name}; at least 2 are needed"
            )
    return parts


def _read_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        files = [name for name in archive.namelist() if not name.endswith("/")]
        if len(files) != 1:
            raise DataError(f"{path}: an archive of {len(files)} files; unpack the text")
        return archive.read(files[0])
