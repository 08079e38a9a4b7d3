"""Gradients of window attention at some rows, in float64, for lengths that no dense mask fits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .window_operations import Inputs


def sampled_gradients(x: Inputs, incoming: Tensor, rows: Sequence[int]) -> list[Tensor]:
    """Gradients of the leaves of ``x`` at ``rows``; of the global query at its only row, 0.

    A row's query, key and value meet only queries and keys within two windows: those are computed densely.

    Args:
        x: states (1, N, H, D).
        incoming: gradient of the context, (1, N, H, D).
        rows: positions. With a global token not 0, whose key and value every query sees.

    Returns:
        Query, key, value (R, H, D); with a global token also its query (1, H, D), and its keys and values (R, H, D).
    """
    found = [torch.cat(states) for states in zip(*(_local(x, incoming, row) for row in rows), strict=True)]
    if x.global_query is None or x.global_key is None or x.global_value is None:
        return found
    return [*found, *row_gradients(x.global_query[0, 0], x.global_key[0], x.global_value[0], incoming[0, 0], rows)]


def row_gradients(
    query: Tensor, key: Tensor, value: Tensor, incoming: Tensor, rows: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of softmax attention of one query (H, D) over keys and values (N, H, D), given that of its context.

    Returns:
        Of the query (1, H, D), and of keys and values at ``rows`` (R, H, D).
    """
    query, key, value, incoming = (state.detach().double() for state in (query, key, value, incoming))
    scale = query.shape[-1] ** -0.5
    weights = (torch.einsum("hd,nhd->nh", query, key) * scale).softmax(0)
    given = torch.einsum("hd,nhd->nh", incoming, value)
    scores = weights * (given - (weights * given).sum(0)) * scale
    chosen = list(rows)
    return (
        torch.einsum("nh,nhd->hd", scores, key)[None],
        scores[chosen, :, None] * query,
        weights[chosen, :, None] * incoming,
    )


def _local(x: Inputs, incoming: Tensor, row: int) -> tuple[Tensor, ...]:
    """Gradients of query, key and value at a row, (1, H, D) each."""
    side, device = x.window // 2, x.query.device
    positions = torch.arange(max(0, row - 2 * side), min(x.query.shape[1], row + 2 * side + 1), device=device)
    if x.global_query is not None and positions[0] > 0:
        positions = torch.cat((positions.new_zeros(1), positions))
    query, key, value = (state[0, positions].detach().double().requires_grad_() for state in (x.query, x.key, x.value))
    seen = (positions[:, None] - positions).abs() <= side
    given = incoming[0, positions].double()
    if x.global_query is not None:
        seen |= positions == 0
        given[positions == 0] = 0  # the global token has a query of its own
    with torch.enable_grad():
        scores = torch.einsum("ihd,jhd->hij", query, key) * query.shape[-1] ** -0.5
        context = torch.einsum("hij,jhd->ihd", scores.masked_fill(~seen, float("-inf")).softmax(-1), value)
        gradients = torch.autograd.grad(context, (query, key, value), given)
    return tuple(gradient[positions == row] for gradient in gradients)
