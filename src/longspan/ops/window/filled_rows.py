"""The rows of global tokens as a differentiable step after a window part that autograd knows how to differentiate.

Shapes: B batch, N tokens, T = B * N, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .layout import GlobalProjections, GlobalStates, Tokens, as_row, read_tokens
from .opaque import as_projections, rows_backward, without_autocast
from .rows import attend_rows


def fill_rows(
    context: Tensor,
    lse: Tensor,
    states: tuple[Tensor, Tensor, Tensor],
    tokens: Tokens,
    masks: tuple[Tensor | None, Tensor | None],
    projections: GlobalProjections | GlobalStates | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """``context`` (B, N, H, D) and ``lse`` (B, N, H) with the rows of global tokens put in and padding 0.

    Args:
        context, lse: of the local queries, contiguous; what other rows hold is ignored. Without gradients they are
            overwritten.
        states: query, key and value (B, N, H, D).
        tokens: what ``masks`` say.
        masks: the backend's ``segment_ids`` and ``global_mask``.
        projections, scale: as of the backend.
    """
    projected = [] if projections is None else list(projections.tensors())
    if torch.is_grad_enabled():
        return _fill_op(context, lse, *states, *masks, projected, scale)
    _fill(context, lse, states, tokens, projected, scale)
    return context, lse


def _fill(
    context: Tensor,
    lse: Tensor,
    states: tuple[Tensor, Tensor, Tensor],
    tokens: Tokens,
    projected: Sequence[Tensor],
    scale: float,
) -> None:
    flat_context, flat_lse = context.view(-1, *context.shape[2:]), lse.view(-1, lse.shape[2])
    q, k, v = (as_row(x) for x in states)
    attend_rows(flat_context, flat_lse, (q, k, v), tokens, as_projections(projected), scale, None)
    padding = tokens.ids < 0
    flat_context.masked_fill_(padding[:, None, None], 0)
    flat_lse.masked_fill_(padding[:, None], 0)


@torch.library.custom_op("longspan::fill_global_rows", mutates_args=())
@without_autocast
def _fill_op(
    context: Tensor,
    lse: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projected: Sequence[Tensor],
    scale: float,
) -> tuple[Tensor, Tensor]:
    context, lse = (x.clone(memory_format=torch.contiguous_format) for x in (context, lse))
    batch, length = query.shape[:2]
    tokens = read_tokens(batch, length, segment_ids, global_mask, query.device)
    _fill(context, lse, (query, key, value), tokens, projected, scale)
    return context, lse


@_fill_op.register_fake
def _(context: Tensor, lse: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return context.new_empty(context.shape), lse.new_empty(lse.shape)


@torch.library.custom_op("longspan::fill_global_rows_backward", mutates_args=())
@without_autocast
def _fill_backward_op(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projected: Sequence[Tensor],
    scale: float,
) -> list[Tensor]:
    batch, length = query.shape[:2]
    tokens = read_tokens(batch, length, segment_ids, global_mask, query.device)
    g, q, k, v, o = (as_row(x) for x in (grad, query, key, value, context))
    grads = tuple(torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
    grad_projected = rows_backward(g, (q, k, v), o, lse.flatten(0, 1), tokens, projected, scale, None, grads)
    grad_context = g.masked_fill(~tokens.local[:, None, None], 0)
    return [x.reshape(query.shape) for x in (grad_context, *grads)] + grad_projected


@_fill_backward_op.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *args: Any) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in (query, query, key, value, *args[4])]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, _, query, key, value, segment_ids, global_mask, projected, ctx.scale = inputs
    context, lse = output
    ctx.mark_non_differentiable(lse)
    ctx.save_for_backward(query, key, value, context, lse, segment_ids, global_mask, *projected)


def _backward(ctx: Any, grad: Tensor, _grad_lse: Tensor | None) -> tuple[Any, ...]:
    query, key, value, context, lse, segment_ids, global_mask, *projected = ctx.saved_tensors
    args = (query, key, value, context, lse, segment_ids, global_mask, projected, ctx.scale)
    grads = _fill_backward_op(grad.to(query.dtype), *args)
    return grads[0], None, *grads[1:4], None, None, list(grads[4:]), None


torch.library.register_autograd("longspan::fill_global_rows", _backward, setup_context=_setup_context)
