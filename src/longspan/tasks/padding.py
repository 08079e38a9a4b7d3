"""Rows of different lengths as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def pad_rows(rows: Sequence[Any], value: int) -> Tensor:
    """(B, N) int64 from B sequences of whole numbers, the shorter ones followed by ``value``."""
    import torch

    padded = torch.full((len(rows), max(map(len, rows), default=0)), value, dtype=torch.long)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = torch.as_tensor(row, dtype=torch.long)
    return padded


def mask_padding(lengths: Sequence[int]) -> Tensor:
    """(B, N) int64 attention mask: 1 for the first ``lengths[b]`` tokens of row b, else 0."""
    import torch

    places = torch.arange(max(lengths, default=0))
    return (places < torch.tensor(lengths)[:, None]).long()
