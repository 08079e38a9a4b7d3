"""Contracts as token ids with labels, and the crops that training steps read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from longspan.tasks.logits import NO_TARGET
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


class Batch(NamedTuple):
    """What one training step reads.

    ids: (B, L) int64 with some tokens hidden, padded with 1. labels: (B, L, C) float32. valid: (B, L) bool.
    hidden: (B, L) int64, the tokens that were hidden, `NO_TARGET` elsewhere.
    """

    ids: np.ndarray
    labels: np.ndarray
    valid: np.ndarray
    hidden: np.ndarray


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


def hide(ids: np.ndarray, share: float, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hide a `share` of the tokens: of ten, eight become ``<mask>``, one another of the `size` ids, one stays.

    Special tokens are never hidden. Source: Devlin et al.: BERT, 2018, section 3.1.

    Returns:
        (N,) ids as the model sees them, (N,) the tokens that were chosen, `NO_TARGET` elsewhere.
    """
    chosen = (rng.random(len(ids)) < share) & (ids > MASK_ID)
    dice = rng.random(len(ids))
    shown = np.where(chosen & (dice < 0.8), MASK_ID, ids)
    shown = np.where(chosen & (dice >= 0.9), rng.integers(MASK_ID + 1, size, len(ids)), shown)
    return shown, np.where(chosen, ids, NO_TARGET)


class CropSampler:
    """Draws batches of crops: a share around passages, the rest anywhere.

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
        vocabulary: int,
        length: int = 512,
        batch: int = 8,
        around: float = 0.5,
        masked: float = 0.1,
        seed: int = 0,
    ) -> None:
        """Documents and their `labels` (N, C); the first `focus` categories are those to draw crops around.

        vocabulary: number of token ids. length, batch: shape of a draw. around: share of the crops around passages.
        masked: share of the tokens that `hide` takes.
        """
        self.documents, self.labels, self.vocabulary = documents, labels, vocabulary
        self.length, self.batch, self.masked, self.seed = length, batch, masked, seed
        self.around = round(batch * around)
        self._places: list[list[tuple[int, int, int]]] = [[] for _ in range(focus)]
        for d, document in enumerate(documents):
            for category, first, last in document.spans:
                if category < focus:
                    self._places[category].append((d, int(first), int(last)))
        weights = np.sqrt([len(places) for places in self._places])
        self._category_odds = weights / weights.sum()
        sizes = np.array([len(d.ids) for d in documents], dtype=np.float64)
        self._document_odds = sizes / sizes.sum()

    def draw(self, step: int) -> Batch:
        """Batch number `step`."""
        rng = np.random.default_rng((self.seed, step))
        shape = (self.batch, self.length)
        batch = Batch(
            ids=np.ones(shape, dtype=np.int64),
            labels=np.zeros((*shape, self.labels[0].shape[1]), dtype=np.float32),
            valid=np.zeros(shape, dtype=bool),
            hidden=np.full(shape, NO_TARGET, dtype=np.int64),
        )
        for row in range(self.batch):
            d, start = self._around(rng) if row < self.around else self._anywhere(rng)
            piece = self.documents[d].ids[start : start + self.length]
            n = len(piece)
            batch.ids[row, :n], batch.hidden[row, :n] = hide(piece, self.masked, self.vocabulary, rng)
            batch.labels[row, :n] = self.labels[d][start : start + self.length]
            batch.valid[row, :n] = True
        return batch

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
