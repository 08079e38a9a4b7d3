"""From the masks that users give to what the operations read: segment ids, ranks, positions. All traceable.

Shapes: B batch, N tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def merge_padding(segment_ids: Tensor | None, attention_mask: Tensor | None) -> Tensor | None:
    """Segment ids (B, N) int64 with -1 at padding; None when there is neither a mask nor a segment."""
    if attention_mask is None:
        return None if segment_ids is None else segment_ids.to(torch.int64)
    visible = attention_mask != 0
    if segment_ids is None:
        return visible.to(torch.int64) - 1
    return segment_ids.to(torch.int64).masked_fill(~visible, -1)


def rank_in_segment(flags: Tensor, segment_ids: Tensor | None) -> Tensor:
    """How many flags each token's segment holds up to and including the token, (B, N) int64.

    Args:
        flags: (B, N) bool.
        segment_ids: (B, N) int64, in any order, or None: each row is one segment.
    """
    flags = flags.to(torch.int64)
    if segment_ids is None:
        return flags.cumsum(1)
    ids, order = torch.sort(segment_ids, dim=1, stable=True)
    sorted_flags = flags.gather(1, order)
    count = sorted_flags.cumsum(1)
    before = count - sorted_flags
    # roll instead of slices of length N - 1, which would bar export from short inputs
    first = torch.arange(ids.shape[1], device=ids.device) == 0
    starts = (ids != ids.roll(1, 1)) | first
    base = before.masked_fill(~starts, 0).cummax(1).values
    return torch.zeros_like(count).scatter(1, order, count - base)


def take_first(hidden_states: Tensor, segment_ids: Tensor | None) -> Tensor:
    """Hidden state (B, d) of each row's first valid token."""
    if segment_ids is None:
        return hidden_states[:, 0]
    index = (segment_ids >= 0).to(torch.int64).argmax(1)
    return hidden_states.gather(1, index[:, None, None].expand(-1, 1, hidden_states.shape[-1])).squeeze(1)
