"""The position table of a long model, from the one of a short model."""

from __future__ import annotations

import torch
from torch import Tensor


def repeat_positions(table: Tensor, first: int, new_first: int, length: int) -> Tensor:
    """A table for ``length`` positions whose rows repeat those of a shorter one (Longformer, section 5).

    Args:
        table: (P, d); the rows before ``first`` are reserved.
        first: the row of a document's first token.
        new_first: the same in the new table.
        length: positions of the new table.

    Returns:
        (new_first + length, d): row ``new_first + k`` is row ``first + k mod (P - first)`` of ``table``. Reserved rows
        are those of ``table`` where there are as many, else 0.
    """
    usable = table[first:]
    rows = usable[torch.arange(length, device=table.device) % len(usable)]
    reserved = table[:first] if first == new_first else table.new_zeros(new_first, table.shape[1])
    return torch.cat([reserved, rows])
