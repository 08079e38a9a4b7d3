"""Roles of tokens in the flat row, and how far their documents reach."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from longspan.ops.window.layout import read_tokens


@given(
    st.integers(1, 3), st.integers(1, 90), st.integers(1, 6), st.integers(0, 70), st.integers(0, 70), st.integers(0, 99)
)
def test_clipped_window_sees_the_same_tokens(
    batch: int, length: int, documents: int, left: int, right: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    segment_ids = torch.randint(-1, documents, (batch, length), generator=generator)
    if seed % 2:  # consecutive documents, as packing leaves them
        segment_ids = segment_ids.sort(1).values
    tokens = read_tokens(batch, length, segment_ids, None, segment_ids.device)
    clipped = tokens.clip_window(left, right)

    position = torch.arange(batch * length)
    offset = position - position[:, None]
    same = (tokens.ids == tokens.ids[:, None]) & (tokens.ids >= 0)
    before, after = ((same & (offset >= -x) & (offset <= y)) for x, y in ((left, right), clipped))
    assert torch.equal(before, after)
    reach = int(offset.masked_fill(~same, 0).max())
    if torch.equal(same, same.cummax(1).values & same.flip(1).cummax(1).values.flip(1)):  # none is interrupted
        assert clipped == tuple(min(x, -(-reach // 32) * 32) if reach < max(left, right) else x for x in (left, right))


def test_window_of_a_row_without_tokens() -> None:
    empty = torch.zeros(0, 4, dtype=torch.int64)
    assert read_tokens(0, 4, empty, None, empty.device).clip_window(256, 256) == (256, 256)
