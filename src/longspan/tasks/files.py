"""Text files as numbered lines, JSON documents and whole texts: compressed or not, decoded strictly, memory flat.

A fault of one line is a :class:`~longspan.tasks.examples.BadRow` in its place, so that a caller can skip it; a fault of
the file (empty, broken archive) is a :class:`~longspan.tasks.examples.DataError`. Compression is recognised by a file's
first bytes, whatever its name: gzip, bzip2 and xz are read as if they were unpacked.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

from longspan.tasks.examples import BadRow, DataError, Source

LINE_LIMIT = 32 * 2**20
"""Bytes of the longest line that is read; of a longer one no more than this is ever in memory."""

_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_NOT_TEXT = {
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PK\x03\x04": "a zip archive",
    b"PAR1\x15": "a parquet table",
    b"ARROW1\x00\x00": "an arrow table",
    b"%PDF": "a PDF document",
}
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_MARK = 8
ARCHIVE_FAULTS = (EOFError, zlib.error, lzma.LZMAError, OSError)
"""What reading a broken archive raises."""


def open_lines(path: str, limit: int = LINE_LIMIT, errors: str = "strict") -> Iterator[tuple[int, str] | BadRow]:
    """The lines of a text file, one at a time, counted from 1 and without their line ends (LF or CRLF).

    The encoding is what a byte-order mark says (UTF-8, -16, -32), else UTF-8. A line that is not text in it, that holds
    a null character or more than ``limit`` bytes is a bad row; the lines after it are read all the same. Other
    characters at which Python can split lines (form feed, U+2028 and so on) are text.

    Args:
        path: a plain, gzip, bzip2 or xz file.
        limit: bytes of the longest line.
        errors: as of ``bytes.decode``; "surrogateescape" keeps what is not text in the encoding.

    Raises:
        DataError: the file is empty, no text, or a broken archive.
        OSError: it cannot be opened.
    """
    line = 0
    with _open(path) as (file, encoding):
        lines = _split_lines(file, "\n".encode(encoding), limit)
        while True:
            try:
                data = next(lines, None)
            except ARCHIVE_FAULTS as error:
                raise broken_archive(path, line + 1, error) from None
            if data is None:
                break
            line += 1
            try:
                if isinstance(data, int):
                    raise ValueError(f"the line has {data:,} bytes, more than {limit:,} that can be read")
                yield line, _decode(data, encoding, errors).removesuffix("\r")
            except ValueError as error:
                yield BadRow(Source(path, line), str(error))
    if line == 0:
        raise DataError(f"{path}: the file is empty")


def read_text(path: str) -> str:
    """A whole text file: line ends as they are, the byte-order mark left out.

    Raises:
        DataError: it is empty, not text in its encoding (with line and byte), or a broken archive.
        OSError: it cannot be opened.
    """
    with _open(path) as (file, encoding):
        try:
            data = file.read()
        except ARCHIVE_FAULTS as error:
            raise broken_archive(path, None, error) from None
    if not data:
        raise DataError(f"{path}: the file is empty")
    try:
        return _decode(data, encoding)
    except ValueError:
        # Once more, line by line, to say where.
        for row in open_lines(path, limit=len(data)):
            if isinstance(row, BadRow):
                raise row.error() from None
        raise


def read_json(path: str) -> Any:
    """A whole JSON document, which has to fit into memory.

    Raises:
        DataError: as :func:`read_text`; or it is not JSON, with line and column.
        OSError: it cannot be opened.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: column {error.colno}: not JSON: {error.msg}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def parse_json(text: str) -> Any:
    """JSON as the standard has it: NaN, infinities and half surrogate pairs, which Python lets through, are refused.

    Raises:
        ValueError: it is not JSON; a ``json.JSONDecodeError`` where the place is known.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise ValueError(f"{half} is half a surrogate pair, which is no character") from None
    return value


@contextmanager
def open_bytes(path: str) -> Iterator[Any]:
    """The unpacked bytes of a file, with ``peek``. Nothing is sought, so a pipe will do.

    Raises:
        DataError: it is of a kind that is no text.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as raw:
        head = raw.peek(_LONGEST_MARK)
        opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
        with opener(raw, "rb") if opener else raw as file:
            try:
                head = file.peek(_LONGEST_MARK)
            except ARCHIVE_FAULTS as error:
                raise broken_archive(path, None, error) from None
            for magic, kind in _NOT_TEXT.items():
                if head.startswith(magic):
                    raise DataError(f"{path}: this is {kind}, not text")
            yield file


@contextmanager
def _open(path: str) -> Iterator[tuple[IO[bytes], str]]:
    """The bytes behind the byte-order mark, and the encoding."""
    with open_bytes(path) as file:
        head = file.peek(_LONGEST_MARK)
        mark, encoding = next(((m, name) for m, name in _MARKS if head.startswith(m)), (b"", "utf-8"))
        file.read(len(mark))
        yield file, encoding


def broken_archive(path: str, line: int | None, error: BaseException) -> DataError:
    """What to raise for one of ``ARCHIVE_FAULTS``."""
    return DataError(f"{Source(path, line)}: cannot be unpacked: {error or type(error).__name__}")


def _split_lines(file: IO[bytes], end: bytes, limit: int) -> Iterator[bytes | int]:
    """Lines without their ends, or the size of one above the limit. ``end`` is a line feed in the encoding."""
    unit = len(end)
    while True:
        data = bytearray()
        size = 0
        while part := file.readline(limit + unit):
            # In UTF-16 and -32 a byte of 10 may be part of another character: look at whole units.
            part += file.read(-len(part) % unit)
            size += len(part)
            if size <= limit + unit:
                data += part
            if part.endswith(end) and len(part) % unit == 0:
                break
        if size == 0:
            return
        if part.endswith(end):
            size -= unit
        yield size if size > limit else bytes(data[:size])


def _decode(data: bytes, encoding: str, errors: str = "strict") -> str:
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"byte {error.start + 1} of the line, 0x{data[error.start]:02x}, is not {encoding.upper()}: {error.reason}"
        ) from None
    if "\0" in text:
        raise ValueError(f"character {text.index(chr(0)) + 1} of the line is null: UTF-16 without a byte-order mark?")
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
