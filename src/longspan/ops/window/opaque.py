"""What the opaque operators of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from .layout import GlobalProjections, GlobalStates


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
