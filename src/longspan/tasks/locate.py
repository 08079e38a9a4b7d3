"""Where a quoted string stands in a text, when the quotation lost the offsets and the line breaks."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable

_QUOTES = "\"'\u201c\u201d\u2018\u2019\u00ab\u00bb"
_QUOTES_BEFORE, _QUOTES_AFTER = frozenset(_QUOTES), frozenset(_QUOTES + ",.")

_SHORT = 60

Span = tuple[int, int]


class Searcher:
    """Finds strings in one text, ignoring white space; where that fails, everything but letters and digits."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._compact = _Compact(text, r"\S+", lambda s: s)
        self._letters: _Compact | None = None

    def occurrences(self, quotation: str) -> list[Span]:
        """All places of `quotation`, as (start, end) code points, in order. Empty when it is nowhere."""
        found = self._compact.find(quotation)
        if not found:
            if self._letters is None:
                self._letters = _Compact(self.text, r"[^\W_]+", str.lower)
            found = self._letters.find(quotation)
        return found

    def locate(self, quotations: Iterable[str]) -> list[Span]:
        """One place for each quotation of one category, sorted; quotations that are nowhere are left out.

        Long quotations stand in one place. Short ones (a date, a name, "Company") stand in many, and the first is
        often wrong: inside another word, on a cover page, inside a longer quotation of the list. Candidates are ordered
        by: cut out of a word or not; inside a place already given or not; in quotation marks (a defined term) or not;
        distance to the nearest sure place; position. Sure are the places of strings that stand only once or in
        quotation marks; they are given first, and longer strings before shorter ones. A string listed twice takes two
        places.
        """
        queue = sorted(quotations, key=lambda q: -len(q))
        places = {q: self.occurrences(q) for q in queue}
        sure = {q: len(spans) == 1 or self._short_and_quoted(q, spans) for q, spans in places.items()}
        taken: list[Span] = []
        anchors: list[Span] = []
        for quotation in sorted(queue, key=lambda q: not sure[q]):
            candidates = [c for c in places[quotation] if c not in taken]
            if not candidates:
                continue
            near = [] if sure[quotation] or len(quotation) > _SHORT else anchors
            best = min(candidates, key=lambda c: self._rank(c, taken, near))
            if sure[quotation]:
                anchors.append(best)
            taken.append(best)
        return sorted(taken)

    def _short_and_quoted(self, quotation: str, spans: list[Span]) -> bool:
        return len(quotation) <= _SHORT and any(self._quoted(span) for span in spans)

    def _rank(self, span: Span, taken: list[Span], anchors: list[Span]) -> tuple[bool, bool, bool, int, int]:
        inside = any(t[0] <= span[0] and span[1] <= t[1] for t in taken)
        distance = min((abs(span[0] - a[0]) for a in anchors), default=0)
        # A name just before its defined term, not the one on the cover; nearly equal distances are the same.
        return (self._cuts_word(span), inside, not self._quoted(span), distance // 100, span[0])

    def _cuts_word(self, span: Span) -> bool:
        start, end = span
        text = self.text
        before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
        after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
        return before or after

    def _quoted(self, span: Span) -> bool:
        start, end = span
        return self.text[max(start - 1, 0) : start] in _QUOTES_BEFORE and self.text[end : end + 1] in _QUOTES_AFTER


class _Compact:
    """A text without the characters that `keep` does not match, with the way back to the text's offsets."""

    def __init__(self, text: str, keep: str, fold: Callable[[str], str]) -> None:
        self._keep, self._fold = re.compile(keep), fold
        pieces, self._at, self._start = [], [], []
        size = 0
        for piece in self._keep.finditer(text):
            folded = fold(piece.group())
            if len(folded) != len(piece.group()):
                folded = piece.group()  # folding changed the length: keep offsets true instead
            pieces.append(folded)
            self._at.append(size)
            self._start.append(piece.start())
            size += len(folded)
        self.text = "".join(pieces)

    def _offset(self, position: int) -> int:
        i = bisect.bisect_right(self._at, position) - 1
        return self._start[i] + position - self._at[i]

    def find(self, quotation: str) -> list[Span]:
        needle = "".join(self._fold(piece) for piece in self._keep.findall(quotation))
        found: list[Span] = []
        at = self.text.find(needle) if needle else -1
        while at >= 0:
            found.append((self._offset(at), self._offset(at + len(needle) - 1) + 1))
            at = self.text.find(needle, at + 1)
        return found
