"""A padded batch as one row without the padding: packed once on entry of a model, unpacked once on exit.

Only padding before and after a row's tokens goes; a masked token between valid ones keeps its place, so distances stay
what they are. Of the padding that goes, one token a row stays and stands for the others: padding sees nothing and is
seen by nobody, so its hidden states depend on its own embedding alone.

Shapes: B batch, N tokens, M tokens that stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from ..ops.window.layout import number_segments
from .checks import holds_values

# a share of padding below which packing would not pay for documents that are no longer rows of their own
_LEAST_SHARE = 1 / 8


@dataclass(frozen=True)
class Packing:
    """Which tokens stay and where they go.

    Attributes:
        kept: (M,) int64, their places in the flat batch of B * N tokens, ascending.
        places: (B, N) int64, where in the packed row each token of the batch is found.
        segment_ids: (1, M) int64, another number for each document of each row, -1 at padding.
    """

    kept: Tensor
    places: Tensor
    segment_ids: Tensor

    def pack(self, x: Tensor) -> Tensor:
        """(B, N, ...) as (1, M, ...)."""
        return x.flatten(0, 1).index_select(0, self.kept).unsqueeze(0)

    def unpack(self, x: Tensor) -> Tensor:
        """(1, M, ...) as (B, N, ...)."""
        return x[0].index_select(0, self.places.flatten()).unflatten(0, self.places.shape)

    def unpack_outputs(self, outputs: ModelOutput) -> None:
        """Unpack the hidden states of an encoder's outputs, in place."""
        outputs.last_hidden_state = self.unpack(outputs.last_hidden_state)
        if outputs.hidden_states is not None:
            outputs.hidden_states = tuple(self.unpack(x) for x in outputs.hidden_states)


def find_packing(segment_ids: Tensor | None) -> Packing | None:
    """How to pack a batch with ``segment_ids`` (B, N) int64, negative at padding; None where it is left as it is.

    That is where little would be gained, and where a program is traced, since the result's length depends on the data.
    """
    if segment_ids is None or segment_ids.numel() == 0 or not holds_values(segment_ids):
        return None
    valid = segment_ids >= 0
    column = torch.arange(valid.shape[1], device=valid.device)
    first = valid.to(torch.int64).argmax(1, keepdim=True)
    last = column[-1] - valid.flip(1).to(torch.int64).argmax(1, keepdim=True)
    inside = (column >= first) & (column <= last) & valid.any(1, keepdim=True)
    # the token that stands for its row's padding: before the text where there is some, else after it
    stand_in = torch.where((first > 0) | ~inside.any(1, keepdim=True), 0, last + 1)
    keep = inside | (column == stand_in)
    kept = keep.flatten().nonzero().squeeze(1)
    if len(kept) > (1 - _LEAST_SHARE) * keep.numel():
        return None
    rank = keep.flatten().cumsum(0).view_as(keep) - 1
    places = torch.where(keep, rank, rank.gather(1, stand_in.clamp(max=column[-1])))
    return Packing(kept, places, number_segments(segment_ids).flatten()[kept].unsqueeze(0))
