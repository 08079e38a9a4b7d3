"""How many floating-point operations the window operators take, for ``torch.utils.flop_counter``.

Counted as torch counts attention: two for each multiply-add, two products forward, five backward, nothing for the
softmax. A row is taken for one document without padding; global tokens are counted where their mask has values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula


def count_flops(name: str) -> None:
    """Tell FLOP counters of ``longspan::name`` and ``longspan::name_backward``."""
    register_flop_formula(getattr(torch.ops.longspan, name), get_raw=True)(_forward)
    register_flop_formula(getattr(torch.ops.longspan, f"{name}_backward"), get_raw=True)(_backward)


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projected: Sequence[Tensor],
    left: int,
    right: int,
    *numbers: Any,
    **_: Any,
) -> int:
    batch, length, heads, size = query.shape
    dilation = numbers[0] if numbers and not isinstance(numbers[0], float) else [1] * heads
    local = sum(_pairs(length, left, step) + _pairs(length, right, step) + length for step in dilation)
    total = batch * 4 * size * local
    for count in _globals(global_mask):
        rows = 4 * heads * size * count * length
        if len(projected) == 7 and count:  # all keys and values projected, or, folded, hidden states in their place
            width = projected[0].shape[-1]
            rows = min(rows + 4 * length * width * heads * size, 4 * heads * width * count * length)
        total += 4 * heads * size * count * length + rows
    return total


def _backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, context: Tensor, lse: Tensor, *rest: Any, **_: Any
) -> int:
    return _forward(query, key, value, *rest) * 5 // 2


def _pairs(length: int, reach: int, step: int) -> int:
    """Pairs of a query and a key at ``step`` to ``reach * step`` tokens to one side of it."""
    reach = min(reach, (length - 1) // step)
    return reach * length - step * reach * (reach + 1) // 2


def _globals(global_mask: Tensor | None) -> list[int]:
    """Global tokens of each row; none where there are shapes only."""
    if global_mask is None or type(global_mask) is not Tensor or global_mask.device.type == "meta":
        return []
    return (global_mask != 0).sum(1).tolist()
