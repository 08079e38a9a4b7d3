"""How many floating-point operations Nyström attention takes, for ``torch.utils.flop_counter``.

Two for each multiply-add, nothing for the softmax, as torch counts attention. A row is taken for one document without
padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula


def count_flops() -> None:
    """Tell FLOP counters of the operator and its backward."""
    register_flop_formula(torch.ops.longspan.nystrom_attention, get_raw=True)(_forward)
    register_flop_formula(torch.ops.longspan.nystrom_attention_backward, get_raw=True)(_backward)


def _forward(query: Tensor, *rest: Any, **_: Any) -> int:
    outer, inner, convolution = _parts(query, *rest)
    return 2 * outer + inner + convolution


def _backward(grad: Tensor, query: Tensor, *rest: Any, **_: Any) -> int:
    # each product of the outer factors once more, then its gradients with respect to all it was made of
    outer, inner, convolution = _parts(query, *rest)
    return 7 * outer + 3 * inner + 2 * convolution


def _parts(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    query_landmarks: Tensor | None,
    key_landmarks: Tensor | None,
    conv_weight: Tensor | None,
    num_landmarks: int,
    inverse_iterations: int,
    *_: Any,
) -> tuple[int, int, int]:
    """Of one product with each outer factor; of the middle factor and its inverse; of the convolution."""
    batch, length, heads, size = query.shape
    blocks, m = batch * heads, num_landmarks
    convolution = 0 if conv_weight is None else 2 * blocks * length * size * conv_weight.shape[1]
    if length <= m:  # exact attention
        return 2 * blocks * length * length * size, 0, convolution
    inner = 4 * blocks * m * m * size + inverse_iterations * 8 * blocks * m**3
    return 4 * blocks * length * m * size, inner, convolution
