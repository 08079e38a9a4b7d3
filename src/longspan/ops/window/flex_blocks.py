"""Which blocks of 128 queries see which blocks of 128 keys, from the window and the documents alone.

The mask itself is never evaluated here: a block of scores is left out when no document and no window can reach it,
and is *full* (computed without a mask) when one document fills both sides and the window holds every offset between
them. The lists have the layout of ``torch.nn.attention.flex_attention.BlockMask``, quadratic in blocks: 4 MB each at
131,072 tokens.

Shapes: T tokens, a multiple of 128; n = T / 128 blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 128


def visible_blocks(
    ids: Tensor, is_global: Tensor | None, left: int, right: int, dilated: bool
) -> tuple[Tensor, Tensor]:
    """Blocks that need the mask and blocks that do not, two (n, n) bool tensors without a common entry.

    Args:
        ids: (T,) int64, the document of each token; negative is padding.
        is_global: (T,) bool or None.
        left, right: the widest reach of any head: query i sees at most the keys ``-left <= j - i <= right``.
        dilated: whether some head skips keys within that reach; no block is full then.
    """
    first, last = _range(ids, ids >= 0)
    block = torch.arange(len(first), device=ids.device)
    # offsets between the tokens of two blocks differ from this by less than BLOCK
    offset = (block - block[:, None]) * BLOCK
    visible = (offset - BLOCK < right) & (offset + BLOCK > -left) & _overlap(first, last, first, last)
    if is_global is not None:
        visible |= _overlap(first, last, *_range(ids, is_global))
    if dilated:
        return visible, torch.zeros_like(visible)
    whole = (ids >= 0).view(-1, BLOCK).all(1) & (first == last)
    full = (offset - BLOCK >= -left - 1) & (offset + BLOCK <= right + 1)
    full &= whole[:, None] & whole & (first[:, None] == first)
    return visible & ~full, full


def block_lists(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """(n, n) bool as the number of entries of each row (1, 1, n) and their columns in front (1, 1, n, n), int32."""
    # the kernels read both as contiguous, also those of a transposed view
    flags = blocks.to(torch.uint8).contiguous()
    counts = flags.sum(1, dtype=torch.int32)
    columns = torch.argsort(flags, dim=1, descending=True, stable=True).to(torch.int32)
    return counts[None, None], columns[None, None]


def _range(ids: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest id of the chosen tokens of each block; an empty block has a range that overlaps with none."""
    highest = torch.iinfo(torch.int64).max
    first = torch.where(chosen, ids, highest).view(-1, BLOCK).amin(1)
    last = torch.where(chosen, ids, -1).view(-1, BLOCK).amax(1)
    return first, last


def _overlap(first: Tensor, last: Tensor, other_first: Tensor, other_last: Tensor) -> Tensor:
    """(n, n): whether row's range of documents and column's have one in common, or may have."""
    return (first[:, None] <= other_last) & (other_first <= last[:, None])
