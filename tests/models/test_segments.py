"""From masks to segment ids, ranks and first tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from longspan.models.segments import merge_padding, rank_in_segment, take_first


def test_merge_padding() -> None:
    mask, segments = torch.tensor([[0, 1, 2, 1]]), torch.tensor([[4, 4, -3, 0]], dtype=torch.int32)
    assert merge_padding(None, None) is None
    for found, expected in (
        (merge_padding(segments, None), [4, 4, -3, 0]),
        (merge_padding(None, mask), [-1, 0, 0, 0]),
        (merge_padding(None, mask.bool()), [-1, 0, 0, 0]),
        (merge_padding(None, mask.float()), [-1, 0, 0, 0]),
        (merge_padding(segments, mask), [-1, 4, -3, 0]),
    ):
        assert found is not None and found.dtype == torch.int64 and found.tolist() == [expected]


def counted(flags: list[int], ids: list[int]) -> list[int]:
    """The definition, token by token."""
    return [sum(f for f, other in zip(flags[: i + 1], ids, strict=False) if other == ids[i]) for i in range(len(ids))]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-2, 3)), min_size=1, max_size=30))
def test_rank_in_segment(tokens: list[tuple[int, int]]) -> None:
    flags, ids = [t[0] for t in tokens], [t[1] for t in tokens]
    both = torch.tensor([flags, flags[::-1]], dtype=torch.bool)
    found = rank_in_segment(both, torch.tensor([ids, ids[::-1]]))
    assert found.tolist() == [counted(flags, ids), counted(flags[::-1], ids[::-1])]
    assert rank_in_segment(both, None).tolist() == both.cumsum(1).tolist()


@pytest.mark.parametrize(
    ("segments", "expected"),
    [(None, [0, 4]), ([[-1, -1, 0, 0], [1, -1, 2, 2]], [2, 4]), ([[-1, -1, -1, -1], [-1, -1, -1, 5]], [0, 7])],
)
def test_take_first(segments: list[list[int]] | None, expected: list[int]) -> None:
    states = torch.arange(8).view(2, 4, 1)
    ids: Tensor | None = None if segments is None else torch.tensor(segments)
    assert take_first(states, ids).squeeze(-1).tolist() == expected
