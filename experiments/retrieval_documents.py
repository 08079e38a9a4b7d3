"""Documents for key-value retrieval: pairs at random places of a long filler, and questions at the beginning.

A document is ``questions`` tokens, each a key that is asked for, then a body of filler in which pairs stand, a key and
its value side by side. No key stands in the body twice, and every question's key stands there once, at a distance that
is uniform over the document. All values are as likely, so a guess is right once in ``values`` times; to answer with the
value of another pair is no better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PAD = 1
"""The id of padding, which no document holds; 0 is free too. The symbols follow."""
_FIRST = 2


@dataclass(frozen=True)
class Documents:
    """A batch of B documents with Q questions each.

    Attributes:
        ids: (B, N) int64.
        answers: (B, Q) int64, number of the right value.
        distances: (B, Q) int64, tokens from a question to the value that answers it.
    """

    ids: np.ndarray
    answers: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Alphabet:
    """How many symbols there are: ids hold keys, then values, then filler."""

    keys: int = 1024
    values: int = 64
    filler: int = 256

    @property
    def size(self) -> int:
        """Number of token ids."""
        return _FIRST + self.keys + self.values + self.filler

    def draw(self, rng: np.random.Generator, batch: int, length: int, questions: int, pairs: int) -> Documents:
        """Make ``batch`` documents of ``length`` tokens with ``pairs`` pairs each.

        Raises:
            ValueError: there are fewer keys than pairs, or the body has no room for them.
        """
        body = length - questions
        most = min(self.keys, body // 2)
        if not 1 <= pairs <= most:
            raise ValueError(
                f"pairs must be 1 to {most:,} (of {self.keys:,} keys, and {body:,} tokens after the questions), "
                f"got {pairs:,}"
            )
        ids = _FIRST + self.keys + self.values + rng.integers(self.filler, size=(batch, length))
        keys = _distinct(rng, batch, self.keys, pairs)
        values = rng.integers(self.values, size=(batch, pairs))
        # each pair takes one of body - pairs places; what stands before it moves it on by one token each
        places = questions + np.sort(_distinct(rng, batch, body - pairs, pairs), axis=1) + np.arange(pairs)
        rows = np.arange(batch)[:, None]
        ids[rows, places] = _FIRST + keys
        ids[rows, places + 1] = _FIRST + self.keys + values
        asked = rng.integers(pairs, size=(batch, questions))
        ids[:, :questions] = _FIRST + keys[rows, asked]
        return Documents(ids, values[rows, asked], places[rows, asked] + 1 - np.arange(questions))


def _distinct(rng: np.random.Generator, batch: int, below: int, count: int) -> np.ndarray:
    """(batch, count) int64 in random order, no number twice in a row."""
    return np.argsort(rng.random((batch, below)), axis=1)[:, :count]
