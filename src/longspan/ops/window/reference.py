"""The dense, readable window operation: the oracle of every other backend, in the dtype it is given.

Quadratic in N. Shapes: B batch, N tokens, H heads, D head size, d hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..transforms import is_transforming
from .layout import GlobalProjections, GlobalStates


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
    """Context (B, N, H, D) and log-sum-exp (B, N, H), 0 in both at padding. Arguments are checked by the caller."""
    batch, length = query.shape[:2]
    device = query.device
    # more has no effect, and one times the other could overflow
    left, right = min(left, length), min(right, length)
    dilation = [min(step, max(length, 1)) for step in dilation]
    if segment_ids is None:
        segment_ids = torch.zeros(batch, length, dtype=torch.int64, device=device)
    valid = segment_ids >= 0
    is_global = torch.zeros_like(valid) if global_mask is None else global_mask.to(torch.bool) & valid

    same = (segment_ids[:, :, None] == segment_ids[:, None, :]) & valid[:, None, :]
    steps = torch.tensor(dilation, device=device)[:, None, None]
    offset = torch.arange(length, device=device)[None, :] - torch.arange(length, device=device)[:, None]
    reach = (offset >= -left * steps) & (offset <= right * steps) & (offset % steps == 0)  # (H, N, N)
    # a global key is seen by its whole segment, once
    local = same[:, None] & (reach[None] | is_global[:, None, None, :])
    context, lse = _attend(query, key, value, local, scale, dropout_p)

    if isinstance(projections, GlobalStates):
        query, key, value = projections.tensors()
    elif projections is not None:
        p = projections
        hidden, heads = p.hidden_states, query.shape[2]
        query = F.linear(hidden, p.query_weight, p.query_bias).unflatten(-1, (heads, -1))
        key = F.linear(hidden, p.key_weight, p.key_bias).unflatten(-1, (heads, -1))
        value = F.linear(hidden, p.value_weight, p.value_bias).unflatten(-1, (heads, -1))
    # without a global token the projections get zero gradients; a transform does not let anybody ask for one
    if projections is not None or is_transforming() or is_global.any():
        rows, rows_lse = _attend(query, key, value, same[:, None], scale, dropout_p)
        context = torch.where(is_global[:, :, None, None], rows.to(context.dtype), context)
        lse = torch.where(is_global[:, :, None], rows_lse, lse)
    return context * valid[:, :, None, None], lse * valid[:, :, None]


def _attend(
    query: Tensor, key: Tensor, value: Tensor, allowed: Tensor, scale: float, dropout_p: float
) -> tuple[Tensor, Tensor]:
    """Masked softmax attention; ``allowed`` (B, 1 or H, N, N) bool; rows that see nothing are 0."""
    wide = torch.promote_types(query.dtype, torch.float32)
    # scaled first: a product that the scale would bring back into range may overflow in float16
    scores = torch.einsum("bihd,bjhd->bhij", query * scale, key).to(wide)
    empty = ~allowed.any(-1, keepdim=True)
    # a row that sees nothing gets finite scores, so that neither it nor its gradient is NaN
    scores = scores.masked_fill(~(allowed | empty), float("-inf")).masked_fill(empty, 0.0)
    lse = scores.logsumexp(-1).masked_fill(empty.squeeze(-1), 0.0)
    probabilities = scores.softmax(-1).masked_fill(empty, 0.0)
    probabilities = F.dropout(probabilities, dropout_p, training=dropout_p > 0).to(value.dtype)
    return torch.einsum("bhij,bjhd->bihd", probabilities, value), lse.transpose(1, 2)
