"""The opaque operator ``longspan::nystrom_attention`` around the fused path, with its own backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from longspan.ops.nystrom import sdpa
from longspan.ops.nystrom.flops import count_flops
from longspan.ops.transforms import transformable


@torch.library.custom_op("longspan::nystrom_attention", mutates_args=())
def _forward_op(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    query_landmarks: Tensor | None,
    key_landmarks: Tensor | None,
    conv_weight: Tensor | None,
    num_landmarks: int,
    inverse_iterations: int,
    exact_inverse_scale: bool,
    scale: float,
) -> Tensor:
    return sdpa.forward(
        query, key, value, segment_ids, query_landmarks, key_landmarks, conv_weight,
        num_landmarks, inverse_iterations, exact_inverse_scale, scale,
    )  # fmt: skip


@torch.library.custom_op("longspan::nystrom_attention_backward", mutates_args=())
def _backward_op(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    query_landmarks: Tensor | None,
    key_landmarks: Tensor | None,
    conv_weight: Tensor | None,
    num_landmarks: int,
    inverse_iterations: int,
    exact_inverse_scale: bool,
    scale: float,
) -> list[Tensor]:
    """Gradients of the six tensors of the forward, one without elements for an absent tensor."""
    return sdpa.backward(
        grad, query, key, value, segment_ids, query_landmarks, key_landmarks, conv_weight,
        num_landmarks, inverse_iterations, exact_inverse_scale, scale,
    )  # fmt: skip


@_forward_op.register_fake
def _(query: Tensor, *_: Any) -> Tensor:
    return query.new_empty(query.shape)


@_backward_op.register_fake
def _(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    query_landmarks: Tensor | None,
    key_landmarks: Tensor | None,
    conv_weight: Tensor | None,
    *_: Any,
) -> list[Tensor]:
    inputs = (query, key, value, query_landmarks, key_landmarks, conv_weight)
    return [query.new_empty(0) if x is None else x.new_empty(x.shape) for x in inputs]


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:7])
    ctx.options = inputs[7:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors
    query, key, value, query_landmarks, key_landmarks, conv_weight = _backward_of(grad, *tensors, *ctx.options)
    return (
        query,
        key,
        value,
        None,
        None if tensors[4] is None else query_landmarks,
        None if tensors[5] is None else key_landmarks,
        None if tensors[6] is None else conv_weight,
        None,
        None,
        None,
        None,
    )


torch.library.register_autograd("longspan::nystrom_attention", _backward, setup_context=_setup_context)
nystrom_attention = transformable(_forward_op, _setup_context, _backward)
"""Backend ``sdpa``; arguments as checked by :func:`longspan.ops.nystrom_attention`."""
_backward_of = transformable(_backward_op)
count_flops()
