"""Sentences of a contract, with offsets.

Contracts are not prose: headings, numbered clauses, addresses and signature blocks break lines, extracted text breaks
them anywhere, and full stops often end an abbreviation. The rule is therefore plain: a sentence ends at ``.``, ``;``,
``:``, ``!`` or ``?`` before white space and a capital, digit, bracket or quotation mark, unless the stop belongs to an
abbreviation or an initial; and at every blank line.
"""

from __future__ import annotations

import re

_BLANK = re.compile(r"\n[^\S\n]*\n\s*")
# \u2018 \u2019 \u201c \u201d are curly quotation marks.
_STOP = re.compile(r"[.!?;:][\"'\u201d\u2019)\]]*(?=\s+[\"'\u201c\u2018(\[]*[A-Z0-9(])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|No|Nos|Inc|Corp|Co|Ltd|LLC|Mr|Mrs|Ms|Dr|St|Sec|Art|Exh|vs?|Jr|Sr|U\.S|U\.K|e\.g|i\.e|etc|Ste|Ave)"
    r"|^\W*(?:\d+|[A-Za-z]|[ivxIVX]+)(?:\.\d+)*)\.$"
)


def split_sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) code points of each sentence, in order, without surrounding white space.

    Together they hold every character of `text` that is not white space.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for gap in _BLANK.finditer(text):
        _split_paragraph(text, start, gap.start(), spans)
        start = gap.end()
    _split_paragraph(text, start, len(text), spans)
    return spans


def _split_paragraph(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    paragraph = text[start:end]
    begin = 0
    for stop in _STOP.finditer(paragraph):
        if _ABBREVIATION.search(paragraph[max(begin, stop.start() - 12) : stop.start() + 1]):
            continue
        _append(text, start + begin, start + stop.end(), spans)
        begin = stop.end()
    _append(text, start + begin, end, spans)


def _append(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    if left < right:
        spans.append((start + left, start + right))
