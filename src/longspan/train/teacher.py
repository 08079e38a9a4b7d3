"""Soft labels: what a plain classifier of sentences thinks of contracts that it has not read.

Its words and pairs of words find clauses that a small encoder, taught by some hundred passages of a category, misses. A
probability for every sentence of every contract is a denser lesson. Source: Hinton, Vinyals, Dean: Distilling the
Knowledge in a Neural Network, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from longspan.tasks.baselines import SentenceClassifier
from longspan.tasks.cuad import Contract
from longspan.tasks.sentences import split_sentences
from longspan.train.crops import Encoded

TEMPERATURE = 2.0


def soft_labels(
    contracts: Sequence[Contract],
    documents: Sequence[Encoded],
    categories: Sequence[str],
    cache: Path,
    folds: int = 4,
    seed: int = 0,
) -> list[np.ndarray]:
    """For each document (N, C) float16: per token the softened probability of its sentence, 0 outside of sentences.

    A contract is judged by a classifier that learnt from the other folds. The file `cache` keeps the probabilities.
    """
    if not cache.exists():
        judged = [np.empty(0)] * len(contracts)
        for fold in range(folds):
            rest = [(c.text, c.passages) for i, c in enumerate(contracts) if i % folds != fold]
            classifier = SentenceClassifier(categories, seed).fit(rest)
            for i in range(fold, len(contracts), folds):
                judged[i] = classifier.probabilities(contracts[i].text)[1]
        np.save(cache, np.concatenate(judged).astype(np.float32))
    probabilities = np.load(cache)
    soft, first = [], 0
    for contract, document in zip(contracts, documents, strict=True):
        sentences = split_sentences(contract.text)
        soft.append(spread(document.offsets, sentences, soften(probabilities[first : first + len(sentences)])))
        first += len(sentences)
    return soft


def soften(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities at a higher temperature: what is unlikely, but likelier than the rest, counts for more."""
    p = np.clip(probabilities, 1e-5, 1 - 1e-5)
    odds = ((1 - p) / p) ** (1 / TEMPERATURE)
    return np.asarray(1 / (1 + odds))


def spread(offsets: np.ndarray, sentences: Sequence[tuple[int, int]], values: np.ndarray) -> np.ndarray:
    """(S, C) values of sentences as (N, C) float16 values of tokens, given the tokens' code points (N, 2)."""
    soft = np.zeros((len(offsets), values.shape[1]), dtype=np.float16)
    # Special tokens first and last have the offsets (0, 0).
    starts, ends = offsets[1:-1, 0], offsets[1:-1, 1]
    for (start, end), value in zip(sentences, values, strict=True):
        soft[np.searchsorted(ends, start, side="right") + 1 : np.searchsorted(starts, end, side="left") + 1] = value
    return soft
