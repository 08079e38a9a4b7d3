"""A question in front of a document, as tokens: what every window begins and ends with, and what lies between.

Places are code points of the document. White space at a token's ends is left out of its place, whether or not the
tokenizer does so itself, so that a span of tokens never begins or ends with any; a token with nothing else has an empty
place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from longspan.tasks.task import Features

# What str.isspace() knows.
_SPACES = np.array([i for i in range(0x3001) if chr(i).isspace()], dtype=np.uint32)


class DocumentTokens(NamedTuple):
    """The tokens of a document.

    Attributes:
        ids: (n,) int64.
        starts, ends: (n,) int64 code points, neither ever decreasing; an empty range for a token without a place.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def find(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last token of the code points ``start`` to ``end`` (excluded); None if no token is of them."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return (first, last) if first <= last else None


class QuestionTokens(NamedTuple):
    """What stands before and after a window of the document.

    Attributes:
        before, after: token ids, special ones included; the first says "no answer".
        asked: tokens up to the question's last one, the special ones before it included.
        types: token types of ``before``, of the document, and of ``after``; None for a tokenizer without them.
    """

    before: list[int]
    after: list[int]
    asked: int
    types: tuple[list[int], int, list[int]] | None

    def surround(self, ids: np.ndarray) -> Features:
        """The input of a model for a window of the document, without padding."""
        features: Features = {"input_ids": [*self.before, *ids.tolist(), *self.after]}
        if self.types is not None:
            before, document, after = self.types
            features["token_type_ids"] = [*before, *[document] * len(ids), *after]
        return features


def read_document(tokenizer: Any, text: str) -> DocumentTokens:
    """The tokens of a document, without special ones; what looks like a special token in the text is text."""
    encoded = tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
    )
    offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    starts, ends = _trim(text, offsets[:, 0], offsets[:, 1])
    ids = np.array(encoded["input_ids"], dtype=np.int64)
    return DocumentTokens(ids, np.maximum.accumulate(starts), np.maximum.accumulate(ends))


def read_question(tokenizer: Any, question: str) -> QuestionTokens:
    """What a tokenizer puts around a document that is read with a question.

    Raises:
        ValueError: the question has no token, or the tokenizer puts no special token before it.
    """
    encoded = tokenizer(question, "x", split_special_tokens=True, verbose=False)
    parts = encoded.sequence_ids()
    asked = [i for i, part in enumerate(parts) if part == 0]
    document = [i for i, part in enumerate(parts) if part == 1]
    if not asked:
        raise ValueError(f"the question {question!r} has no token")
    if asked[0] == 0:
        raise ValueError("the tokenizer must put a special token before a question: it stands for 'no answer'")
    first, last = document[0], document[-1] + 1
    ids, types = encoded["input_ids"], encoded.get("token_type_ids")
    return QuestionTokens(
        before=ids[:first],
        after=ids[last:],
        asked=asked[-1] + 1,
        types=None if types is None else (types[:first], types[first], types[last:]),
    )


def _trim(text: str, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places without white space at either end; empty at their start where nothing else is in them."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    solid = np.flatnonzero(~np.isin(points, _SPACES))
    before, after = np.searchsorted(solid, starts), np.searchsorted(solid, ends)
    # With nothing solid inside, both point at the same place; the array's end is never read then.
    inside = before < after
    trimmed_starts, trimmed_ends = starts.copy(), starts.copy()
    trimmed_starts[inside] = solid[before[inside]]
    trimmed_ends[inside] = solid[after[inside] - 1] + 1
    return trimmed_starts, trimmed_ends
