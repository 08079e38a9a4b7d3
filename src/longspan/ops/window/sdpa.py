"""The fused window operation: stock flash attention over overlapping key windows, as one opaque operator.

Ragged global tokens, documents and skipped blocks depend on the data; behind ``torch.library.custom_op`` they stay
invisible to ``torch.compile`` and ``torch.export``, which see one operator with one backward. The backward keeps
query, key, value, the context and its log-sum-exp, never a probability.

Shapes: B batch, N tokens, T = B * N, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..transforms import transformable
from .band import Band, band_backward, window_kernel
from .columns import columns_backward, merge_columns
from .dense import Dense, dense_backward, dense_forward
from .dropout import Keep
from .dropped_band import Columns, dropped_backward, dropped_forward
from .flops import count_flops
from .layout import GlobalProjections, GlobalStates, Tokens, as_row, dilated_order, read_tokens
from .opaque import as_projections, rows_backward, wide, without_autocast
from .rows import attend_rows


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
    kernel: str = "aten",
) -> tuple[Tensor, Tensor]:
    """Context (B, N, H, D) and log-sum-exp (B, N, H), 0 in both at padding. Arguments are checked by the caller.

    ``kernel`` computes the window in the forward: "aten", stock flash attention, or "cpp", our own.

    Raises:
        NotImplementedError, ValueError: the kernel "cpp" cannot do this; the message says which backends can.
    """
    if kernel == "cpp" and dropout_p > 0:
        raise ValueError(
            f"dropout_p must be 0 with the backend 'cpp', which has no probabilities to drop, got {dropout_p}; 'sdpa' "
            "and 'reference' have"
        )
    seed = None
    if dropout_p > 0:
        seed = torch.randint(0, 2**62, (1,), device="cpu")
    projected = [] if projections is None else list(projections.tensors())
    return _forward(
        query,
        key,
        value,
        segment_ids,
        global_mask,
        projected,
        left,
        right,
        list(dilation),
        scale,
        dropout_p,
        seed,
        kernel,
    )


@torch.library.custom_op("longspan::window_attention", mutates_args=())
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
    dilation: Sequence[int],
    scale: float,
    dropout_p: float,
    seed: Tensor | None,
    kernel: str,
) -> tuple[Tensor, Tensor]:
    batch, length, heads, _ = query.shape
    if batch * length == 0:
        return query.new_empty(query.shape), query.new_empty(query.shape[:3], dtype=wide(query))
    tokens = read_tokens(batch, length, segment_ids, global_mask, query.device)
    if _clips(segment_ids, dilation):
        left, right = tokens.clip_window(left, right)
    keep = _keep(dropout_p, seed, query.device)
    q, k, v = (as_row(x) for x in (query, key, value))
    if kernel == "aten" and _is_short(length, left, right, dilation):
        dense = Dense(batch, length, left, right, tokens, query.dtype)
        context, lse = dense_forward(query, key, value, dense, scale, keep)
        context, lse = context.flatten(0, 1), lse.flatten(0, 1)
    else:
        context, lse = q.new_empty(q.shape), q.new_empty(q.shape[:2], dtype=wide(q))
        for group, order, band, columns in _groups(tokens, batch, length, heads, left, right, dilation):
            qg, kg, vg = (_take(x, group, order) for x in (q, k, v))
            if keep is None:
                out, out_lse = window_kernel(kernel)(qg, kg, vg, band, scale)
            else:
                columned = (_take(k, group, columns.positions), _take(v, group, columns.positions))
                out, out_lse = dropped_forward(qg, (kg, vg), columned, band, columns, scale, keep)
            if group is None and order is None:
                context, lse = out, out_lse
            else:
                _put(context, out, group, order)
                _put(lse, out_lse, group, order)
        if keep is None and tokens.is_global is not None:
            merge_columns(context, lse, q, k, v, tokens.documents, scale)
    attend_rows(context, lse, (q, k, v), tokens, as_projections(projected), scale, keep)
    if segment_ids is not None:
        padding = tokens.ids < 0
        context[padding] = 0
        lse[padding] = 0
    return context.view_as(query), lse.view(batch, length, heads)


@_forward_op.register_fake
def _(query: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return query.new_empty(query.shape), query.new_empty(query.shape[:3], dtype=wide(query))


@torch.library.custom_op("longspan::window_attention_backward", mutates_args=())
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
    dilation: Sequence[int],
    scale: float,
    dropout_p: float,
    seed: Tensor | None,
) -> list[Tensor]:
    batch, length, heads, _ = query.shape
    if batch * length == 0:
        return [x.new_zeros(x.shape) for x in (query, key, value, *projected)]
    tokens = read_tokens(batch, length, segment_ids, global_mask, query.device)
    if _clips(segment_ids, dilation):
        left, right = tokens.clip_window(left, right)
    keep = _keep(dropout_p, seed, query.device)
    g, q, k, v, o = (as_row(x) for x in (grad, query, key, value, context))
    flat_lse = lse.flatten(0, 1)
    # exp(score - inf) = 0: rows of padding and of global tokens neither get nor give a gradient here
    local_lse = flat_lse.masked_fill(~tokens.local[:, None], float("inf"))
    if _is_short(length, left, right, dilation):
        dense = Dense(batch, length, left, right, tokens, query.dtype)
        args = (grad, query, key, value, context, local_lse.view_as(lse), dense, scale, keep)
        grads: tuple[Tensor, ...] = tuple(x.flatten(0, 1) for x in dense_backward(*args))
    else:
        grads = ()
        for group, order, band, columns in _groups(tokens, batch, length, heads, left, right, dilation):
            gg, qg, kg, vg = (_take(x, group, order) for x in (g, q, k, v))
            if keep is None:
                og, lg = _take(o, group, order), _take(local_lse, group, order)
                parts = band_backward(gg, qg, kg, vg, og, lg, band, scale)
            else:
                columned = (_take(k, group, columns.positions), _take(v, group, columns.positions))
                d_query, d_window, d_columns = dropped_backward(gg, qg, (kg, vg), columned, band, columns, scale, keep)
                parts = (d_query, *d_window)
            if group is None and order is None:  # the only one; an operator returns no piece of a larger buffer
                grads = tuple(x.clone() if x.storage_offset() else x for x in parts)
            else:
                grads = grads or tuple(torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
                for target, part in zip(grads, parts, strict=True):
                    _add(target, part, group, order)
            if keep is not None:
                for target, part in zip(grads[1:], d_columns, strict=True):
                    _add(target, part, group, columns.positions)
        if keep is None and tokens.is_global is not None:
            columns_backward(g, q, k, v, o, local_lse, tokens.documents, scale, grads)
    grad_projected = rows_backward(g, (q, k, v), o, flat_lse, tokens, projected, scale, keep, grads)
    return [x.reshape(query.shape) for x in grads] + grad_projected


@_backward_op.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *args: Any) -> list[Tensor]:
    projected = args[4]
    return [x.new_empty(x.shape) for x in (query, key, value, *projected)]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, segment_ids, global_mask, projected, *ctx.numbers, seed, _kernel = inputs
    context, lse = output
    ctx.mark_non_differentiable(lse)
    ctx.count = len(projected)
    ctx.save_for_backward(query, key, value, context, lse, segment_ids, global_mask, seed, *projected)


def _backward(ctx: Any, grad: Tensor, _grad_lse: Tensor | None) -> tuple[Any, ...]:
    query, key, value, context, lse, segment_ids, global_mask, seed, *projected = ctx.saved_tensors
    left, right, dilation, scale, dropout_p = ctx.numbers
    grads = _backward_of(
        grad.to(query.dtype),
        query,
        key,
        value,
        context,
        lse,
        segment_ids,
        global_mask,
        projected,
        left,
        right,
        dilation,
        scale,
        dropout_p,
        seed,
    )
    return *grads[:3], None, None, list(grads[3:]), None, None, None, None, None, None, None


torch.library.register_autograd("longspan::window_attention", _backward, setup_context=_setup_context)
_forward = transformable(_forward_op, _setup_context, _backward)
_backward_of = transformable(_backward_op)
count_flops("window_attention")


def _is_short(length: int, left: int, right: int, dilation: Sequence[int]) -> bool:
    return length <= left + right + 1 and all(step == 1 for step in dilation)


def _clips(segment_ids: Tensor | None, dilation: Sequence[int]) -> bool:
    return segment_ids is not None and all(step == 1 for step in dilation)


def _keep(dropout_p: float, seed: Tensor | None, device: torch.device) -> Keep | None:
    return None if seed is None else Keep(dropout_p, int(seed), device)


def _groups(
    tokens: Tokens, batch: int, length: int, heads: int, left: int, right: int, dilation: Sequence[int]
) -> list[tuple[Tensor | None, Tensor | None, Band, Columns]]:
    """For each dilation: its heads (None: all), the order of positions (None: as given), the window, the columns."""
    device = tokens.ids.device
    if tokens.is_global is None:
        positions = torch.empty(0, dtype=torch.int64, device=device)
    else:
        positions = tokens.is_global.nonzero().squeeze(1)
    found = []
    for step in sorted(set(dilation)):
        chosen = [head for head, value in enumerate(dilation) if value == step]
        group = None if len(chosen) == heads else torch.tensor(chosen, device=device)
        step = min(step, length)  # a longer stride or window reaches nothing more
        order, query_ids, key_ids, documents = None, tokens.query_ids, tokens.key_ids, tokens.query_ids
        if step > 1:
            order, residue = dilated_order(batch, length, step, device)
            query_ids = torch.where(query_ids < 0, query_ids, query_ids * step + residue)[order]
            key_ids = torch.where(key_ids < 0, key_ids, key_ids * step + residue)[order]
            documents = documents[order]
        columns = Columns(positions, tokens.ids[positions], documents)
        reach = (length - 1) // step
        band = Band(min(left, reach), min(right, reach), query_ids, key_ids)
        found.append((group, order, band, columns))
    return found


def _take(x: Tensor, group: Tensor | None, order: Tensor | None) -> Tensor:
    """Heads ``group`` of (T, H, ...) in the given order of rows."""
    x = x if group is None else x[:, group]
    return x if order is None else x[order]


def _put(target: Tensor, x: Tensor, group: Tensor | None, order: Tensor | None) -> None:
    """The inverse of :func:`_take`."""
    rows: Any = slice(None) if order is None else order
    if group is None:
        target[rows] = x
    else:
        target[rows if order is None else order[:, None], group] = x


def _add(target: Tensor, x: Tensor, group: Tensor | None, order: Tensor | None) -> None:
    rows: Any = slice(None) if order is None else order
    if group is None:
        target[rows] += x
    else:
        target[rows if order is None else order[:, None], group] += x
