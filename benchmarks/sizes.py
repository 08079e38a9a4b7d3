"""The two sizes that everything is measured at: base size, and a tiny one to see that it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model.

    Attributes:
        hidden, heads, intermediate: as in BERT.
        layers: of a whole model.
        window: Longformer's attention window, half of it on each side.
        landmarks, convolution: Nyströmformer's landmarks and convolution size.
        block: BigBird's block.
        local: ModernBERT's local window.
        tokens: length of the usual document.
    """

    hidden: int = 768
    heads: int = 12
    intermediate: int = 3072
    layers: int = 12
    window: int = 512
    landmarks: int = 64
    convolution: int = 65
    block: int = 64
    local: int = 128
    tokens: int = 4096


BASE = Sizes()
TINY = Sizes(
    hidden=32,
    heads=4,
    intermediate=64,
    layers=2,
    window=32,
    landmarks=8,
    convolution=9,
    block=16,
    local=16,
    tokens=256,
)


def sizes(quick: bool) -> Sizes:
    """The sizes of a run."""
    return TINY if quick else BASE


def window_pairs(tokens: int, window: int) -> int:
    """How many (query, key) pairs lie within ``window // 2`` of each other."""
    side = min(window // 2, tokens - 1)
    return tokens * (2 * side + 1) - side * (side + 1)


def nystrom_flops(size: Sizes, tokens: int) -> float:
    """Floating-point operations of one layer's Nyström attention without its projections.

    Four products of N x m x D a head, the convolution, and six steps of the inverse of four m x m products each.
    """
    products = 8.0 * tokens * size.landmarks * size.hidden
    return products + 2.0 * tokens * size.convolution * size.hidden + 48.0 * size.landmarks**3 * size.heads
