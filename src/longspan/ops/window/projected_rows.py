"""Rows of global tokens through projections of their own, without projecting the whole document.

With the slices W_k, W_v of one head, ``score = h_j . (W_k^T q_g)``, since the key bias adds the same to every j and
cancels in the softmax, and ``context = W_v (sum_j p_gj h_j) + b_v sum_j p_gj``. That is H * G columns in place of two
d x d projections of every token; with many global tokens the plain form is the cheaper one.

Shapes: n tokens of a document, G global tokens, H heads, D head size, d hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..fused import attend, attend_backward
from .dropout import Keep, attend_dropped, attend_dropped_backward
from .layout import Document, GlobalProjections


@dataclass
class _Row:
    """Everything one document's rows were computed from."""

    hidden: Tensor  # (n, d)
    inputs: Tensor  # (G, d), hidden states of the global tokens
    query: Tensor  # (G, H, D)
    rows: Tensor  # (1, 1, H * G, d) folded, or (1, H, G, D)
    keys: Tensor  # (1, 1, n, d) folded, or (1, H, n, D)
    values: Tensor
    kept: Tensor | None  # factors of the probabilities under dropout


def project_rows(
    document: Document, projections: GlobalProjections, heads: int, scale: float, keep: Keep | None
) -> tuple[Tensor, Tensor]:
    """Context (G, H, D) and log-sum-exp (G, H) of one document's global tokens through their projections."""
    p = projections
    row = _prepare(document, p, heads, keep)
    context, lse, mass = _attend(row, scale)
    if _is_folded(p, heads, len(document.global_rows)):
        context = context.view(heads, -1, row.hidden.shape[-1])
        context = torch.bmm(context, _by_head(p.value_weight, heads).transpose(1, 2)).transpose(0, 1)
        bias = p.value_bias.view(heads, -1)
        context = context + (bias if mass is None else bias * mass.view(heads, -1).t().unsqueeze(-1))
        lse = lse.view(heads, -1).t() + scale * (row.query * p.key_bias.view(heads, -1)).sum(-1).to(lse.dtype)
    else:
        context, lse = context[0].transpose(0, 1), lse[0].t()
    return context, lse


def project_rows_backward(
    grad: Tensor,
    document: Document,
    projections: GlobalProjections,
    heads: int,
    scale: float,
    keep: Keep | None,
    grads: GlobalProjections,
) -> None:
    """Add the gradients of :func:`project_rows` for ``grad`` (G, H, D) to ``grads``, whose hidden states are (T, d).

    The weights and biases of ``grads`` may be of a wider dtype than the projections. The key bias is left alone when
    the form is folded: its gradient is zero.
    """
    p = projections
    row = _prepare(document, p, heads, keep)
    context, lse, mass = _attend(row, scale)
    folded = _is_folded(p, heads, len(document.global_rows))
    by_head = grad.transpose(0, 1).contiguous()  # (H, G, D)
    grad_hidden = torch.zeros_like(row.hidden)
    if folded:
        width = row.hidden.shape[-1]
        d_weight = torch.bmm(by_head.transpose(1, 2), context.view(heads, -1, width))
        grads.value_weight.view(heads, -1, width).add_(d_weight)
        weighted = by_head if mass is None else by_head * mass.view(heads, -1, 1)
        grads.value_bias.add_(weighted.sum(1).reshape(-1))
        grad_context = torch.bmm(by_head, _by_head(p.value_weight, heads)).view_as(row.rows)
        # the mass that dropout leaves reaches the probabilities through the value bias as well
        grad_mass = None if mass is None else (by_head * p.value_bias.view(heads, 1, -1)).sum(-1).view(1, 1, -1)
    else:
        grad_context, grad_mass = by_head.unsqueeze(0), None
    d_rows, d_keys, d_values = _attend_backward(row, grad_context, grad_mass, context, lse, scale)
    if folded:
        d_rows = d_rows.view(heads, -1, width)
        grads.key_weight.view(heads, -1, width).add_(torch.bmm(row.query.permute(1, 2, 0), d_rows))
        d_query = torch.bmm(d_rows, _by_head(p.key_weight, heads).transpose(1, 2)).transpose(0, 1).flatten(1)
        grad_hidden += d_keys[0, 0] + d_values[0, 0]
    else:
        d_query = d_rows[0].transpose(0, 1).flatten(1)
        for d_x, weight, d_weight, d_bias in (
            (d_keys, p.key_weight, grads.key_weight, grads.key_bias),
            (d_values, p.value_weight, grads.value_weight, grads.value_bias),
        ):
            flat = d_x[0].transpose(0, 1).flatten(1)  # (n, H * D)
            d_weight.add_(flat.t() @ row.hidden)
            d_bias.add_(flat.sum(0))
            grad_hidden.addmm_(flat, weight)
    grads.query_weight.add_(d_query.t() @ row.inputs)
    grads.query_bias.add_(d_query.sum(0))
    grads.hidden_states[document.rows] += grad_hidden
    grads.hidden_states[document.global_rows] += d_query @ p.query_weight


def _is_folded(projections: GlobalProjections, heads: int, count: int) -> bool:
    """Whether H * G columns of d cost less than two full projections and H heads of D (measured: pays to d + G)."""
    return heads * count < projections.query_weight.shape[0] + count


def _prepare(document: Document, p: GlobalProjections, heads: int, keep: Keep | None) -> _Row:
    hidden = p.hidden_states[document.rows]
    inputs = p.hidden_states[document.global_rows]
    query = F.linear(inputs, p.query_weight, p.query_bias).unflatten(-1, (heads, -1))
    if _is_folded(p, heads, len(inputs)):
        rows = torch.bmm(query.transpose(0, 1), _by_head(p.key_weight, heads)).view(1, 1, -1, hidden.shape[-1])
        keys = values = hidden[None, None]
    else:
        rows = query.transpose(0, 1).unsqueeze(0)
        keys = F.linear(hidden, p.key_weight, p.key_bias).unflatten(-1, (heads, -1)).transpose(0, 1).unsqueeze(0)
        values = F.linear(hidden, p.value_weight, p.value_bias).unflatten(-1, (heads, -1)).transpose(0, 1).unsqueeze(0)
    return _Row(hidden, inputs, query, rows, keys, values, None if keep is None else keep.draw(rows, keys))


def _attend(row: _Row, scale: float) -> tuple[Tensor, Tensor, Tensor | None]:
    if row.kept is None:
        return *attend(row.rows, row.keys, row.values, None, scale), None
    return attend_dropped(row.rows, row.keys, row.values, None, scale, row.kept)


def _attend_backward(
    row: _Row, grad: Tensor, grad_mass: Tensor | None, context: Tensor, lse: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    if row.kept is None:
        return attend_backward(grad, row.rows, row.keys, row.values, context, lse, None, scale)
    return attend_dropped_backward(grad, row.rows, row.keys, row.values, None, scale, row.kept, grad_mass)


def _by_head(weight: Tensor, heads: int) -> Tensor:
    """(H * D, d) as (H, D, d)."""
    return weight.reshape(heads, -1, weight.shape[-1])
