"""Windows of a document that is longer than the model, and the best spans of them all.

Every token is in a window, and neighbours overlap, so that a span of up to ``stride + 1`` tokens lies whole in at least
one. A span is scored in every window that holds it, and the best of these scores is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np


def make_windows(n: int, size: int | None, stride: int) -> list[tuple[int, int]]:
    """First token and last token + 1 of each window of a document of ``n`` tokens, in order.

    Where there are several, all are full: the last one ends at the document's end and shares with its neighbour as much
    as that takes.

    Args:
        n: tokens of the document; 0 gives one empty window.
        size: tokens of a window; None for any number.
        stride: tokens that neighbouring windows share at least.

    Raises:
        ValueError: a size below 1, a negative stride, or a stride with which windows would not move on.
    """
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    if stride < 0:
        raise ValueError(f"stride must not be negative, got {stride}")
    if size is None or n <= size:
        return [(0, n)]
    if stride >= size:
        raise ValueError(f"stride must be less than the {size} tokens of a window, got {stride}")
    starts = [*range(0, n - size, size - stride), n - size]
    return [(start, start + size) for start in starts]


def share_tokens(windows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The part (first token, last + 1) of each window that counts: every token once, where it is farthest inside.

    Of two windows in which a token is equally far inside, it counts in the earlier one.

    Args:
        windows: of equal length, in order, without gaps between them.
    """
    edges = [windows[0][0], *((a[1] + b[0] + 1) // 2 for a, b in pairwise(windows)), windows[-1][1]]
    return list(pairwise(edges))


class Spans(NamedTuple):
    """Spans in order of their scores, the best first; of equal scores the earlier one, then the shorter one.

    Attributes:
        first, last: (K,) int64, both included.
        score: (K,) float64.
    """

    first: np.ndarray
    last: np.ndarray
    score: np.ndarray


def best_spans(start: np.ndarray, end: np.ndarray, longest: int, count: int) -> Spans:
    """The ``count`` best spans of a window by ``start[first] + end[last]``, ``first <= last < first + longest``.

    The best spans begin where the best span of each beginning is among the best, so only ``count * longest`` sums are
    made besides a running maximum: O(n log n) time, O(n) memory.

    Args:
        start, end: (n,) scores of each token as the first and as the last; minus infinity bars a token.
        longest: tokens of the longest span.
        count: how many; fewer come back where there are fewer.
    """
    start, end = start.astype(np.float64), end.astype(np.float64)
    longest = min(longest, len(start))
    firsts = np.argsort(-(start + _maximum_ahead(end, longest)), kind="stable")[:count]
    firsts.sort()
    lasts = firsts[:, None] + np.arange(longest)
    score = start[firsts][:, None] + np.append(end, np.full(longest, -np.inf))[lasts]
    order = np.argsort(-score, axis=None, kind="stable")[:count]
    order = order[score.flat[order] > -np.inf]
    return Spans(firsts[order // max(longest, 1)], lasts.flat[order], score.flat[order])


def merge_spans(windows: Sequence[Spans], count: int) -> Spans:
    """The ``count`` best of all windows' spans, each once, with the best of its scores.

    Where each window gives its ``count`` best, this equals taking them from all spans of all windows.

    Args:
        windows: spans in places that mean the same in all windows.
        count: how many.
    """
    if not windows:
        return Spans(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    first, last, score = (np.concatenate(parts) for parts in zip(*windows, strict=True))
    order = np.lexsort((last, first, -score))
    first, last, score = first[order], last[order], score[order]
    _, once = np.unique(np.stack([first, last]), axis=1, return_index=True)
    once.sort()
    once = once[:count]
    return Spans(first[once], last[once], score[once])


def _maximum_ahead(x: np.ndarray, width: int) -> np.ndarray:
    """(n,) largest of the ``width`` values from each place on, itself included."""
    best, seen = x.copy(), 1
    while seen < width:
        step = min(seen, width - seen)
        best[:-step] = np.maximum(best[:-step], best[step:])
        seen += step
    return best
