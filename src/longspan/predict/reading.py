"""Read a text file so that offsets mean the same to everybody: code points of the text as read.

- Line ends stay as they are: CRLF is two code points, and nothing is translated.
- A leading byte-order mark chooses UTF-8, UTF-16 or UTF-32 and is not part of the text; without one the text is UTF-8.
- Bytes that do not decode, and binary files, are refused: a replaced character would be a wrong quotation.
"""

import codecs
import sys
from pathlib import Path

STDIN = "-"

# UTF-32 first: its little-endian mark begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DOCUMENT_FORMATS = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"\xd0\xcf\x11\xe0", "an old office document"),
    (b"{\\rtf", "a rich-text document"),
)


class UnreadableTextError(ValueError):
    """A file that holds no text, or text in another encoding than the one it was read in."""


def read_text(source: str | Path, encoding: str | None = None) -> str:
    """Return the text of a file, or of standard input where ``source`` is ``"-"``.

    Args:
        source: path of the file, or ``"-"``.
        encoding: name of the encoding, as Python knows it. None: what the byte-order mark says, else UTF-8.

    Raises:
        UnreadableTextError: the bytes are no text in this encoding. The message names the file, the byte and its place.
        OSError: the file cannot be opened.
        LookupError: there is no such encoding.
    """
    data = sys.stdin.buffer.read() if str(source) == STDIN else Path(source).read_bytes()
    return decode_text(data, "standard input" if str(source) == STDIN else str(source), encoding)


def decode_text(data: bytes, name: str, encoding: str | None = None) -> str:
    """Return ``data`` as text by the rules of this module; ``name`` is what an error calls it."""
    for magic, what in _DOCUMENT_FORMATS:
        if data.startswith(magic):
            raise UnreadableTextError(f"{name}: {what}, not plain text; convert it to text first")
    if encoding is None:
        encoding = next((codec for mark, codec in _MARKS if data.startswith(mark)), "utf-8")
        if encoding == "utf-8" and b"\0" in data:
            raise UnreadableTextError(
                f"{name}: a binary file (a zero byte at offset {data.index(0)}); if it is text, name its encoding, "
                "for example --encoding utf-16-le"
            )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        raise UnreadableTextError(
            f"{name}: not {encoding} ({byte}: {error.reason}); name its encoding, for example --encoding cp1252"
        ) from None
    if "\0" in text:
        raise UnreadableTextError(f"{name}: a binary file, not {encoding} text (U+0000 at offset {text.index(chr(0))})")
    return text.removeprefix("\ufeff")
