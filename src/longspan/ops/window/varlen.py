"""Torch's varlen flash kernel on CUDA: documents packed by offsets, the window in the kernel, globals merged after.

The kernel returns a log-sum-exp, so window and global columns are two calls merged by it; its backward, given the
merged context and log-sum-exp, returns each part's gradient (Dao et al., FlashAttention, arXiv 2205.14135, appendix
B). Behind one opaque operator, like the backend ``sdpa``.

Shapes: B batch, N tokens, T = B * N, P valid tokens, H heads, D head size, G global tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..transforms import transformable
from .columns import merge_part
from .flops import count_flops
from .layout import GlobalProjections, GlobalStates, as_row, read_tokens
from .opaque import as_projections, rows_backward, wide, without_autocast
from .rows import attend_rows
from .sequences import Sequences, read_runs, read_sequences
from .varlen_kernels import check_kernels, varlen_backward, varlen_forward

# a log-sum-exp at which every probability is 0, without an infinity in the kernel
_NOTHING = 1e30
_EVERYTHING = (-1, -1)


def window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    left: int,
    right: int,
    dilation: Sequence[int],
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projections: GlobalProjections | GlobalStates | None,
    scale: float,
    dropout_p: float,
) -> tuple[Tensor, Tensor]:
    """Context (B, N, H, D) and log-sum-exp (B, N, H), 0 in both at padding. Arguments are checked by the caller.

    Raises:
        ValueError, TypeError, NotImplementedError: the kernel cannot do this; the message says which backends can.
    """
    if dropout_p > 0:
        raise ValueError(
            f"dropout_p must be 0 with the backend 'flash_varlen', which keeps no probability to drop, got "
            f"{dropout_p}; 'sdpa' and 'reference' can"
        )
    if any(step > 1 for step in dilation):
        raise ValueError(
            f"dilation must be 1 with the backend 'flash_varlen', whose window is without gaps, got {max(dilation)}; "
            "'flex_attention', 'sdpa' and 'reference' can"
        )
    check_kernels(query)
    projected = [] if projections is None else list(projections.tensors())
    return _forward(query, key, value, segment_ids, global_mask, projected, left, right, scale)


@torch.library.custom_op("longspan::varlen_attention", mutates_args=())
@without_autocast
def _forward_op(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projected: Sequence[Tensor],
    left: int,
    right: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    batch, length, heads, _ = query.shape
    if batch * length == 0:
        return query.new_empty(query.shape), query.new_empty(query.shape[:3], dtype=wide(query))
    tokens = read_tokens(batch, length, segment_ids, global_mask, query.device)
    sequences = read_sequences(tokens, length, segment_ids is None)
    states = as_row(query), as_row(key), as_row(value)
    q, k, v = (sequences.pack(x) for x in states)
    if len(q):
        window = _window(left, right, sequences)
        context, kernel_lse = varlen_forward(q, k, v, sequences.pairs, window, scale)
        lse = kernel_lse.t().contiguous()
        global_key, global_value = k[sequences.global_rows], v[sequences.global_rows]
        for runs in read_runs(sequences, left, right):
            keys, values = global_key[runs.columns], global_value[runs.columns]
            part, part_lse = varlen_forward(q[runs.rows], keys, values, runs.pairs, _EVERYTHING, scale)
            part_lse = part_lse.t()
            if runs.empty is not None:
                part = part.index_fill(0, runs.empty, 0)
                part_lse = part_lse.index_fill(0, runs.empty, float("-inf"))
            merge_part(context[runs.rows], lse[runs.rows], part, part_lse)
    else:
        context, lse = torch.zeros_like(q), q.new_zeros(q.shape[:2], dtype=wide(q))
    context, lse = (sequences.unpack(x, batch * length) for x in (context, lse))
    attend_rows(context, lse, states, tokens, as_projections(projected), scale, None)
    return context.view(query.shape), lse.view(batch, length, heads)


@_forward_op.register_fake
def _(query: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return query.new_empty(query.shape), query.new_empty(query.shape[:3], dtype=wide(query))


@torch.library.custom_op("longspan::varlen_attention_backward", mutates_args=())
@without_autocast
def _backward_op(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projected: Sequence[Tensor],
    left: int,
    right: int,
    scale: float,
) -> list[Tensor]:
    batch, length = query.shape[:2]
    if batch * length == 0:
        return [x.new_zeros(x.shape) for x in (query, key, value, *projected)]
    tokens = read_tokens(batch, length, segment_ids, global_mask, query.device)
    sequences = read_sequences(tokens, length, segment_ids is None)
    states = as_row(query), as_row(key), as_row(value)
    flat_grad, flat_context = as_row(grad), as_row(context)
    flat_lse = lse.flatten(0, 1)
    q, k, v, o = (sequences.pack(x) for x in (*states, flat_context))
    g, local_lse = flat_grad, flat_lse
    if tokens.is_global is not None:
        # rows of global tokens neither get nor give a gradient in the window part
        g = g.masked_fill(tokens.is_global[:, None, None], 0)
        local_lse = local_lse.masked_fill(tokens.is_global[:, None], _NOTHING)
    g, local_lse = sequences.pack(g), sequences.pack(local_lse)
    if len(q):
        window = _window(left, right, sequences)
        kernel_lse = local_lse.t().contiguous()
        grads = list(varlen_backward(g, q, k, v, o, kernel_lse, sequences.pairs, window, scale))
        _add_columns(grads, g, q, k, v, o, local_lse, sequences, left, right, scale)
    else:
        grads = [torch.zeros_like(x) for x in (q, k, v)]
    unpacked = tuple(sequences.unpack(x, batch * length) for x in grads)
    grad_projected = rows_backward(flat_grad, states, flat_context, flat_lse, tokens, projected, scale, None, unpacked)
    return [x.view(query.shape) for x in unpacked] + grad_projected


def _add_columns(
    grads: list[Tensor],
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    sequences: Sequences,
    left: int,
    right: int,
    scale: float,
) -> None:
    """Add the gradients through the global columns to ``grads``, of query, key and value, all (P, H, D)."""
    places = sequences.global_rows
    if not len(places):
        return
    global_key, global_value = key[places], value[places]
    # a global token collects from every run: in half precision the sum would lose too much
    sums = [torch.zeros(x.shape, dtype=wide(x), device=x.device) for x in (global_key, global_value)]
    for runs in read_runs(sequences, left, right):
        rows, columns = runs.rows, runs.columns
        d_query, *d_columns = varlen_backward(
            grad[rows],
            query[rows],
            global_key[columns],
            global_value[columns],
            context[rows],
            lse[rows].t().contiguous(),
            runs.pairs,
            _EVERYTHING,
            scale,
        )
        if runs.empty is not None:
            d_query = d_query.index_fill(0, runs.empty, 0)
        grads[0][rows] += d_query
        for target, part in zip(sums, d_columns, strict=True):
            target.index_add_(0, columns, part.to(target.dtype))
    for target, part in zip(grads[1:], sums, strict=True):
        target[places] += part.to(target.dtype)


@_backward_op.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *args: Any) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in (query, key, value, *args[4])]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, segment_ids, global_mask, projected, *ctx.numbers = inputs
    context, lse = output
    ctx.mark_non_differentiable(lse)
    ctx.save_for_backward(query, key, value, context, lse, segment_ids, global_mask, *projected)


def _backward(ctx: Any, grad: Tensor, _grad_lse: Tensor | None) -> tuple[Any, ...]:
    query, key, value, context, lse, segment_ids, global_mask, *projected = ctx.saved_tensors
    args = (query, key, value, context, lse, segment_ids, global_mask, projected, *ctx.numbers)
    grads = _backward_of(grad.to(query.dtype), *args)
    return *grads[:3], None, None, list(grads[3:]), None, None, None


torch.library.register_autograd("longspan::varlen_attention", _backward, setup_context=_setup_context)
_forward = transformable(_forward_op, _setup_context, _backward)
_backward_of = transformable(_backward_op)
count_flops("varlen_attention")


def _window(left: int, right: int, sequences: Sequences) -> tuple[int, int]:
    """The window as the kernel writes it: -1 for a side that reaches the end of every document."""
    longest = sequences.pairs.longest_query
    return (left if left < longest - 1 else -1, right if right < longest - 1 else -1)
