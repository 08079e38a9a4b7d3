"""Which tokens are global: the two ways to say it, and the defaults of the task heads. All traceable.

Shapes: B batch, N tokens. A global mask is (B, N) bool.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..segments import rank_in_segment

Default = Literal["first", "question", "choice"]


def merge_global(attention_mask: Tensor | None, global_attention_mask: Tensor | None) -> Tensor | None:
    """The union of ``global_attention_mask`` and of the 2s in ``attention_mask``; None when neither can hold one."""
    merged = None
    if attention_mask is not None and attention_mask.dtype != torch.bool:
        merged = attention_mask == 2
    if global_attention_mask is None:
        return merged
    given = global_attention_mask != 0
    return given if merged is None else given | merged


def default_unless_merged(
    default: Default,
    attention_mask: Tensor | None,
    segment_ids: Tensor | None,
    input_ids: Tensor | None,
    sep_token_id: int | None,
    shape: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """The default mask of a head, unless a 2 anywhere in ``attention_mask`` makes that a whole global mask."""
    mask = default_mask(default, segment_ids, input_ids, sep_token_id, shape, device)
    merged = merge_global(attention_mask, None)
    return mask if merged is None else mask & ~merged.any()


def default_mask(
    default: Default,
    segment_ids: Tensor | None,
    input_ids: Tensor | None,
    sep_token_id: int | None,
    shape: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """The default global mask of a task, for each segment, s being its first separator.

    "first" (classification): the first valid token. "question" (question answering): tokens before s. "choice"
    (multiple choice, which takes no segments): tokens after ``s + 1``. The latter two: the first valid token only
    where there is no separator.
    """
    everything = torch.ones(shape, dtype=torch.bool, device=device)
    valid = everything if segment_ids is None else segment_ids >= 0
    first = valid & (rank_in_segment(valid, segment_ids) == 1)
    if default == "first" or input_ids is None or sep_token_id is None:
        return first
    separators = valid & (input_ids == sep_token_id)
    if default == "choice":
        # by column: a masked token keeps its place
        column = torch.arange(shape[1], device=device)
        chosen = column > separators.to(torch.int64).argmax(1, keepdim=True) + 1
        return valid & torch.where(separators.any(1, keepdim=True), chosen, first)
    seen = rank_in_segment(separators, segment_ids)
    after = rank_in_segment(separators.flip(1), None if segment_ids is None else segment_ids.flip(1)).flip(1)
    return valid & torch.where(seen + after > 0, seen == 0, first)
