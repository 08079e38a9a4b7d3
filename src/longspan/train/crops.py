"""Contracts as token ids with labels, and the crops that training steps read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longspan.tasks.passages import Passage

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MASK_ID = 4


@dataclass(frozen=True)
class Encoded:
    """One document as arrays.

    ids: (N,) int64, ``<s>`` first and ``</s>`` last. offsets: (N, 2) int64 code points. labels: (N, C) bool.
    spans: rows (category, first token, last token + 1) int64, one a passage.
    """

    ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    spans: np.ndarray


def encode(tokenizer: Tokenizer, text: str, passages: Iterable[Passage], categories: Sequence[str]) -> Encoded:
    """Token ids of a whole document and a label row per token: column c for a token inside a passage of c.

    A token is inside when it shares a character with the passage. Passages of other categories are left out.
    """
    encoding = tokenizer.encode(text)
    ids = np.array(encoding.ids, dtype=np.int64)
    offsets = np.array(encoding.offsets, dtype=np.int64)
    labels = np.zeros((len(ids), len(categories)), dtype=bool)
    column = {category: i for i, category in enumerate(categories)}
    spans = []
    # Special tokens have the offsets (0, 0); between them the ends never decrease, so bisection finds the tokens.
    starts, ends = offsets[1:-1, 0], offsets[1:-1, 1]
    for p in passages:
        if p.category not in column:
            continue
        first = int(np.searchsorted(ends, p.start, side="right")) + 1
        last = int(np.searchsorted(starts, p.end, side="left")) + 1
        if first < last:
            labels[first:last, column[p.category]] = True
            spans.append((column[p.category], first, last))
    return Encoded(ids, offsets, labels, np.array(spans, dtype=np.int64).reshape(-1, 3))


def add_edges(document: Encoded, categories: int) -> np.ndarray:
    """Labels with two more columns for each of the first `categories`: first token of a passage, last token.

    Returns:
        (N, C + 2 * categories) bool.
    """
    n, c = document.labels.shape
    labels = np.zeros((n, c + 2 * categories), dtype=bool)
    labels[:, :c] = document.labels
    for category, first, last in document.spans:
        if category < categories:
            labels[first, c + category] = True
            labels[last - 1, c + categories + category] = True
    return labels


class CropSampler:
    """Draws batches of crops: half around passages, half anywhere.

    A crop around a passage takes a category with probability proportional to the square root of its number of passages,
    one of its passages, and a place that holds the passage's first or last token or a token between. A crop anywhere
    takes a document in proportion to its length. Draw `step` depends only on the seed and on `step`, so a resumed run
    sees what an uninterrupted one would have seen.
    """

    def __init__(
        self,
        documents: Sequence[Encoded],
        labels: Sequence[np.ndarray],
        *,
        focus: int,
        length: int = 512,
        batch: int = 8,
        masked: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.documents, self.labels = documents, labels
        self.length, self.batch, self.masked, self.seed = length, batch, masked, seed
        self._places: list[list[tuple[int, int, int]]] = [[] for _ in range(focus)]
        for d, document in enumerate(documents):
            for category, first, last in document.spans:
                if category < focus:
                    self._places[category].append((d, int(first), int(last)))
        weights = np.sqrt([len(places) for places in self._places])
        self._category_odds = weights / weights.sum()
        sizes = np.array([len(d.ids) for d in documents], dtype=np.float64)
        self._document_odds = sizes / sizes.sum()

    def draw(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Batch number `step`.

        Returns:
            ids (B, L) int64 padded with 1, labels (B, L, C) float32, valid (B, L) bool.
        """
        rng = np.random.default_rng((self.seed, step))
        columns = self.labels[0].shape[1]
        ids = np.ones((self.batch, self.length), dtype=np.int64)
        labels = np.zeros((self.batch, self.length, columns), dtype=np.float32)
        valid = np.zeros((self.batch, self.length), dtype=bool)
        for row in range(self.batch):
            d, start = self._around(rng) if row % 2 == 0 else self._anywhere(rng)
            piece = self.documents[d].ids[start : start + self.length]
            n = len(piece)
            hide = (rng.random(n) < self.masked) & (piece > MASK_ID)
            ids[row, :n] = np.where(hide, MASK_ID, piece)
            labels[row, :n] = self.labels[d][start : start + self.length]
            valid[row, :n] = True
        return ids, labels, valid

    def _around(self, rng: np.random.Generator) -> tuple[int, int]:
        places = self._places[int(rng.choice(len(self._places), p=self._category_odds))]
        d, first, last = places[int(rng.integers(len(places)))]
        token = int(rng.integers(first, last))
        return d, self._clip(d, token - int(rng.integers(self.length)))

    def _anywhere(self, rng: np.random.Generator) -> tuple[int, int]:
        d = int(rng.choice(len(self.documents), p=self._document_odds))
        return d, self._clip(d, int(rng.integers(-self.length // 2, len(self.documents[d].ids))))

    def _clip(self, d: int, start: int) -> int:
        return max(0, min(start, len(self.documents[d].ids) - self.length))
