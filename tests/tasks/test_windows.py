"""Windows cover every token, and the spans merged from them are those of a search through everything."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks.windows import Spans, best_spans, make_windows, merge_spans, share_tokens


@st.composite
def cuts(draw):
    """n, size and stride that can be used together."""
    size = draw(st.integers(1, 40))
    return draw(st.integers(0, 200)), size, draw(st.integers(0, size - 1))


@given(cuts())
def test_windows_cover_every_token(cut):
    n, size, stride = cut
    windows = make_windows(n, size, stride)
    assert {i for start, end in windows for i in range(start, end)} == set(range(n))
    assert windows[0][0] == 0 and windows[-1][1] == n
    assert all(end - start == (size if len(windows) > 1 else n) for start, end in windows)
    for (start, end), (next_start, next_end) in pairwise(windows):
        assert start < next_start and end < next_end
        assert end - next_start >= stride
    # no window could be left out
    assert len(windows) == max(1, -(-(n - stride) // (size - stride)))


@given(cuts())
def test_every_token_counts_once_where_it_is_farthest_inside(cut):
    windows = make_windows(*cut)
    parts = share_tokens(windows)
    assert [t for a, b in parts for t in range(a, b)] == list(range(cut[0]))
    for part, window in zip(parts, windows, strict=True):
        for token in range(*part):
            margins = [min(token - a, b - 1 - token) for a, b in windows if a <= token < b]
            assert min(token - window[0], window[1] - 1 - token) == max(margins)


@given(cuts(), st.integers(0, 199), st.integers(1, 40))
def test_a_span_no_longer_than_the_stride_and_one_lies_in_a_window(cut, first, length):
    n, size, stride = cut
    if length <= stride + 1 and first + length <= n:
        assert any(start <= first and first + length <= end for start, end in make_windows(n, size, stride))


def test_windows_by_hand():
    assert make_windows(10, 4, 1) == [(0, 4), (3, 7), (6, 10)]
    assert make_windows(11, 4, 1) == [(0, 4), (3, 7), (6, 10), (7, 11)]
    assert make_windows(4, 4, 3) == [(0, 4)]
    # one window is enough: nothing is shared, so any stride will do
    assert make_windows(4, 4, 9) == make_windows(4, None, 9) == [(0, 4)]
    assert make_windows(0, 4, 1) == [(0, 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0, 0), "size must be at least 1, got 0"),
        ((5, 4, -1), "stride must not be negative, got -1"),
        ((5, 4, 4), "stride must be less than the 4 tokens of a window, got 4"),
    ],
)
def test_windows_that_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_windows(*arguments)


def search(start, end, longest, place=0):
    """Every span with its score, in places moved by ``place``."""
    n = len(start)
    return [
        (float(start[i]) + float(end[j]), i + place, j + place)
        for i in range(n)
        for j in range(i, min(n, i + longest))
        if start[i] + end[j] > -np.inf
    ]


def in_order(spans, count):
    """The best spans as tuples (first, last, score), each once."""
    best = {}
    for score, first, last in spans:
        best[first, last] = max(score, best.get((first, last), -np.inf))
    return sorted(((*place, score) for place, score in best.items()), key=lambda x: (-x[2], x[0], x[1]))[:count]


def as_tuples(spans):
    return list(zip(spans.first.tolist(), spans.last.tolist(), spans.score.tolist(), strict=True))


# few values, so that many spans have the same score
scores = st.integers(-3, 3).map(float) | st.just(-np.inf)
rows = st.integers(0, 25).flatmap(lambda n: st.lists(st.tuples(scores, scores), min_size=n, max_size=n))


@given(rows, st.integers(1, 30), st.integers(1, 12))
def test_best_spans_are_those_of_a_search(row, longest, count):
    start, end = (np.array([x[i] for x in row], dtype=np.float32) for i in (0, 1))
    assert as_tuples(best_spans(start, end, longest, count)) == in_order(search(start, end, longest), count)


@given(cuts(), st.integers(1, 12), st.integers(1, 6), st.integers(0, 999))
def test_merged_spans_are_those_of_a_search_through_all_windows(cut, longest, count, seed):
    n, size, stride = cut
    random = np.random.default_rng(seed)
    found, everything = [], []
    for first, last in make_windows(n, size, stride):
        # a token has another score in every window
        start, end = random.integers(-5, 5, (2, last - first)).astype(np.float32)
        spans = best_spans(start, end, longest, count)
        found.append(Spans(spans.first + first, spans.last + first, spans.score))
        everything += search(start, end, longest, first)
    assert as_tuples(merge_spans(found, count)) == in_order(everything, count)


def test_spans_of_nothing():
    nothing = np.zeros(0, np.float32)
    assert as_tuples(best_spans(nothing, nothing, 5, 3)) == as_tuples(merge_spans([], 3)) == []
    barred = np.full(4, -np.inf)
    assert as_tuples(best_spans(barred, np.zeros(4), 5, 3)) == []


def test_memory_grows_with_the_document_only():
    peaks = []
    for n in (50_000, 100_000):
        start, end = np.random.default_rng(0).normal(size=(2, n))
        tracemalloc.start()
        best_spans(start, end, 64, 20)
        peaks.append(tracemalloc.get_traced_memory()[1] / n)
        tracemalloc.stop()
    # a few arrays of numbers of eight bytes
    assert max(peaks) < 100
