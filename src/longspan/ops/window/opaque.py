"""What the opaque operators of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from .dropout import Keep
from .layout import GlobalProjections, GlobalStates, Tokens
from .rows import attend_rows_backward


def without_autocast(body: Callable[..., Any]) -> Callable[..., Any]:
    """The operator computes in the dtypes it is given, whatever the caller's autocast."""

    @wraps(body)
    def run(query: Tensor, *args: Any) -> Any:
        with torch.autocast(query.device.type, enabled=False):
            return body(query, *args)

    return run


def wide(x: Tensor) -> torch.dtype:
    """The dtype of log-sum-exps and of sums over documents: float32, or float64 for float64."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def as_projections(tensors: Sequence[Tensor]) -> GlobalProjections | GlobalStates | None:
    """What an operator is given as a list of tensors: seven of projections, three of states, or none."""
    if not tensors:
        return None
    return GlobalStates(*tensors) if len(tensors) == 3 else GlobalProjections(*tensors)


def rows_backward(
    grad: Tensor,
    states: tuple[Tensor, Tensor, Tensor],
    context: Tensor,
    lse: Tensor,
    tokens: Tokens,
    projected: Sequence[Tensor],
    scale: float,
    keep: Keep | None,
    grads: tuple[Tensor, ...],
) -> list[Tensor]:
    """Gradients of ``projected`` through the rows of global tokens; those of ``states`` are added to ``grads``.

    Arguments as for :func:`~longspan.ops.window.rows.attend_rows_backward`, ``projected`` as the operator got it.
    """
    # weights (two axes) and biases collect from every document: in half precision the sum would lose too much
    sums = [torch.zeros(x.shape, dtype=x.dtype if x.dim() > 2 else wide(x), device=x.device) for x in projected]
    projections = as_projections(projected)
    attend_rows_backward(grad, states, context, lse, tokens, projections, scale, keep, grads, as_projections(sums))
    return [total.to(x.dtype) for total, x in zip(sums, projected, strict=True)]
