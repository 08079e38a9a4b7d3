"""Right answers by distance, with what chance leaves open."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch

from longspan.models.longformer import LongformerForTokenClassification

from .retrieval_documents import Alphabet
from .retrieval_model import inputs

BINS = 16
"""Parts of a document, equally long, that are counted each by itself."""
QUESTIONS = 32
"""Questions in a document."""


@torch.inference_mode()
def evaluate(
    model: LongformerForTokenClassification,
    alphabet: Alphabet,
    length: int,
    pairs: int,
    documents: int,
    seed: int,
    globals_on: bool,
) -> dict[str, Any]:
    """Ask 32 questions of each of ``documents`` new documents.

    Args:
        model: that answers.
        alphabet, length, pairs, documents: what it reads; the same documents for the same numbers and seed.
        seed: of the documents. Those of training are others: their seed is one number, this one is three.
        globals_on: whether the questions are global.

    Returns:
        The counts, the accuracy with its 95 % interval, the shortest and longest distance, and for each part of the
        document how many answers there were and how many were right.
    """
    model.eval()
    model.set_attn_implementation("sdpa")
    rng = np.random.default_rng((seed, length, pairs))
    began = time.process_time()
    right, distances = [], []
    for _ in range(documents):
        drawn = alphabet.draw(rng, 1, length, QUESTIONS, pairs)
        chosen = model(**inputs(drawn, globals_on)).logits[:, :QUESTIONS].argmax(-1).numpy()
        right.append(chosen == drawn.answers)
        distances.append(drawn.distances)
    found, where = np.concatenate(right).reshape(-1), np.concatenate(distances).reshape(-1)
    bins = np.minimum(where * BINS // length, BINS - 1)
    asked = np.bincount(bins, minlength=BINS)
    hits = np.bincount(bins, weights=found, minlength=BINS).astype(int)
    return {
        "tokens": length,
        "pairs": pairs,
        "documents": documents,
        "globals": globals_on,
        "questions": len(found),
        "right": int(found.sum()),
        "accuracy": round(float(found.mean()), 5),
        "interval": [round(x, 5) for x in wilson(int(found.sum()), len(found))],
        "distances": [int(where.min()), int(where.max())],
        "bins": [{"questions": int(n), "right": int(k)} for n, k in zip(asked, hits, strict=True)],
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of Wilson for a share, 95 % by default (Wilson 1927)."""
    share = right / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return tuple(max(0.0, min(1.0, x / (1 + z * z / count))) for x in (middle - half, middle + half))  # type: ignore[return-value]
