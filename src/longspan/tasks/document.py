"""A text as a decoder sees it: tokens, words and sentences with their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longspan.tasks.sentences import split_sentences


@dataclass(frozen=True)
class Document:
    """What the rules need to know of a text, computed once.

    text: the text. offsets: (N, 2) int64 code points of the tokens; an empty range marks a special token.
    words: (N,) int64, number of the word that a token is part of. sentences: (S, 2) int64 code points. tokens: (S, 2)
    int64, each sentence's first token and last token + 1.
    """

    text: str
    offsets: np.ndarray
    words: np.ndarray
    sentences: np.ndarray
    tokens: np.ndarray

    @classmethod
    def build(cls, text: str, offsets: np.ndarray) -> Document:
        offsets = np.asarray(offsets, dtype=np.int64)
        if offsets.ndim != 2 or offsets.shape[1] != 2:
            raise ValueError(f"offsets must have shape (N, 2), got {offsets.shape}")
        sentences = np.array(split_sentences(text), dtype=np.int64).reshape(-1, 2)
        # Special tokens have the range (0, 0), which would break the order at the end of the document.
        ends, starts = np.maximum.accumulate(offsets[:, 1]), offsets[:, 0].copy()
        empty = offsets[:, 0] >= offsets[:, 1]
        starts[empty] = ends[empty]
        first = np.searchsorted(ends, sentences[:, 0], side="right")
        last = np.searchsorted(starts, sentences[:, 1], side="left")
        return cls(text, offsets, _words(text, offsets), sentences, np.stack([first, np.maximum(last, first)], axis=1))

    def pool(self, probabilities: np.ndarray) -> np.ndarray:
        """(N,) probabilities with each token's replaced by the mean of its word."""
        if not len(probabilities):
            return probabilities
        sums = np.bincount(self.words, weights=probabilities)
        return np.asarray((sums / np.bincount(self.words))[self.words])

    def characters(self, first: int, last: int) -> tuple[int, int]:
        """Code points from token `first` to token `last` - 1, without white space at the ends; (0, 0) if none."""
        ranges = self.offsets[first:last]
        ranges = ranges[ranges[:, 0] < ranges[:, 1]]
        if not len(ranges):
            return 0, 0
        start, end = int(ranges[0, 0]), int(ranges[:, 1].max())
        piece = self.text[start:end]
        return end - len(piece.lstrip()), start + len(piece.rstrip())

    def snap(self, start: int, end: int) -> tuple[int, int]:
        """Move each end to its sentence's edge where that takes in or leaves out at most a third of the sentence."""
        s = max(int(np.searchsorted(self.sentences[:, 0], start, side="right")) - 1, 0)
        e = max(int(np.searchsorted(self.sentences[:, 0], end - 1, side="right")) - 1, 0)
        left, right = self.sentences[s]
        if start - left <= (right - left) / 3:
            start = int(left)
        elif s < e and right - start <= (right - left) / 3 and s + 1 < len(self.sentences):
            start = int(self.sentences[s + 1, 0])
        left, right = self.sentences[e]
        if right - end <= (right - left) / 3:
            end = int(right)
        elif s < e and end - left <= (right - left) / 3:
            end = int(self.sentences[e - 1, 1])
        return start, max(end, start)


def _words(text: str, offsets: np.ndarray) -> np.ndarray:
    """(N,) numbers that go up by one where a token does not go on the word of the token before it."""
    letters = np.fromiter((c.isalnum() for c in text), dtype=bool, count=len(text))
    goes_on = np.zeros(len(offsets), dtype=bool)
    starts, ends = offsets[1:, 0], offsets[:-1, 1]
    # Tokens that share a character (one of several bytes) have overlapping ranges.
    touch = np.flatnonzero((starts <= ends) & (starts > 0) & (starts < len(text)))
    goes_on[touch + 1] = (starts[touch] < ends[touch]) | (letters[starts[touch] - 1] & letters[starts[touch]])
    return np.cumsum(~goes_on) - 1
