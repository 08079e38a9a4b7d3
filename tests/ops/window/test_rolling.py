"""The causal window over text that arrives in pieces equals the operation over the whole text."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops import sliding_window_attention
from longspan.ops.window import cpp
from longspan.ops.window.rolling import RollingWindow
from tests._support import Watch, uninitialized_is_nan

few = settings(max_examples=50, derandomize=True, deadline=None)


def draw(batch, length, heads, size, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, length, heads, size, generator=generator).to(dtype) for _ in range(3)]


def roll(window, pieces, query, key, value, valid=None):
    """Context of a text in pieces of the given sizes."""
    found, start = [], 0
    for size in pieces:
        rows = slice(start, start + size)
        masks = () if valid is None else (valid,)
        found.append(window.attend(*(x[:, rows] for x in (query, key, value, *masks))))
        start += size
    assert start == query.shape[1] == window.length
    return torch.cat(found, 1)


def cut(length, sizes):
    """Sizes over and over until they sum to ``length``."""
    pieces = []
    while length:
        pieces.append(min(sizes[len(pieces) % len(sizes)], length))
        length -= pieces[-1]
    return pieces


@few
@given(
    st.integers(1, 3),
    st.integers(1, 60),
    st.one_of(st.integers(0, 7), st.integers(0, 120), st.just(10**12)),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.lists(st.sampled_from([1, 1, 1, 2, 5, 40]), min_size=1, max_size=4),
    st.sampled_from(["aten", "reference"]),
    st.sampled_from([None, "left", "anywhere"]),
    st.integers(0, 9),
)
def test_equals_the_reference_over_the_whole_text(batch, length, left, dilation, sizes, kernel, padding, seed):
    query, key, value = draw(batch, length, len(dilation), 4, seed)
    valid = None
    if padding is not None:
        generator = torch.Generator().manual_seed(seed)
        first = torch.randint(0, length + 1, (batch, 1), generator=generator)
        valid = torch.arange(length) >= first if padding == "left" else torch.rand(batch, length) < 0.7
    with uninitialized_is_nan():
        found = roll(RollingWindow(left, dilation, 0.5, kernel), cut(length, sizes), query, key, value, valid)
    expected = sliding_window_attention(
        query,
        key,
        value,
        (left, 0),
        segment_ids=None if valid is None else valid.long() - 1,
        dilation=dilation,
        scale=0.5,
        backend="reference",
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


no_cpp = pytest.mark.skipif(cpp.missing() is not None, reason=str(cpp.missing()))


@pytest.mark.parametrize("kernel", ["aten", pytest.param("cpp", marks=no_cpp)])
def test_single_precision(kernel):
    query, key, value = draw(2, 300, 4, 16, 0, torch.float32)
    window = RollingWindow(20, [1, 1, 2, 3], 0.25, kernel)
    found = roll(window, cut(300, [64, 1, 1, 7]), query, key, value)
    expected = sliding_window_attention(
        *(x.double() for x in (query, key, value)), (20, 0), dilation=[1, 1, 2, 3], backend="reference"
    )
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-6)


def test_padding_that_comes_late_is_seen_by_nobody():
    query, key, value = draw(1, 30, 2, 4, 1)
    valid = torch.ones(1, 30, dtype=torch.bool)
    valid[0, 20:23] = False
    window = RollingWindow(9, [1, 2], 0.5)
    found = [window.attend(query[:, :20], key[:, :20], value[:, :20])]  # no mask yet
    found += [window.attend(*(x[:, i : i + 1] for x in (query, key, value, valid))) for i in range(20, 30)]
    expected = sliding_window_attention(query, key, value, (9, 0), segment_ids=valid.long() - 1, dilation=[1, 2])
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0, atol=1e-12)


def test_rows_change_places():
    query, key, value = draw(3, 40, 2, 4, 2)
    order = torch.tensor([2, 2, 0, 1])
    window = RollingWindow(5, [1, 3], 0.5)
    window.append(key[:, :25], value[:, :25], torch.arange(25).expand(3, 25) > 2)
    window.reorder(order)
    found = window.attend(*(x[order, 25:] for x in (query, key, value)))
    ids = (torch.arange(40) > 2).long().expand(3, 40) - 1
    expected = sliding_window_attention(query, key, value, (5, 0), segment_ids=ids, dilation=[1, 3])
    torch.testing.assert_close(found, expected[order, 25:], rtol=0, atol=1e-12)


def test_a_token_costs_the_same_at_any_length():
    window = RollingWindow(7, [1, 1, 2, 4], 0.5)
    held, calls = set(), set()
    for place in range(100):
        query, key, value = draw(2, 1, 4, 4, place, torch.float32)
        with Watch() as watch:
            window.attend(query, key, value)
        if place >= 8 * 4:
            held.add(sum(x.numel() for ring in window._rings for x in (ring.key, ring.value)))
            calls.add((sum(watch.calls.values()), watch.elements))
    # rings of 8 slots: two heads of dilation 1, one of 2, one of 4
    assert held == {2 * 2 * 4 * 8 * (2 * 1 + 2 + 4)}
    assert len(calls) == 1
