"""From logits to probabilities, and the label of what has no target."""

from __future__ import annotations

import numpy as np

NO_TARGET = -100
"""The label of what is not predicted; torch's cross entropy leaves it out by default."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last dimension, of the shape and type of ``logits``; no overflow, and none of none."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """A probability for each logit; no overflow."""
    chances: np.ndarray = np.exp(-np.logaddexp(0, -logits))
    return chances
