"""A linear layer on a CPU, in inference with GELU in the same call: oneDNN where it serves, stock torch elsewhere.

torch sends a float32 linear layer to the BLAS it was built with. On x86, oneDNN, which the same build holds for
bfloat16 and for Inductor, multiplies the shapes of an encoder 10 to 20 % faster, short inputs 40 % faster, adds the
bias without a pass of its own and applies GELU while the result is in cache (docs/performance.md has the figures).
"""

from __future__ import annotations

import platform
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .transforms import is_transforming

_DTYPES = (torch.float32, torch.bfloat16)
_HAS_ONEDNN = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: str | None = None) -> Tensor:
    """``gelu(x W^T + b)``, once differentiable. Without a graph, a tensor of its own that the caller may overwrite.

    Args:
        x: (..., n).
        weight: (m, n).
        bias: (m,) or None.
        gelu: None, or the form of GELU to apply, ``"none"`` (exact) or ``"tanh"``, as torch names them.

    Returns:
        (..., m).
    """
    keeps_graph = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    if not _fuses(x, weight):
        y = F.linear(x, weight, bias)
    elif keeps_graph:
        y = _Linear.apply(x, weight, bias)
    else:
        return _multiply(x, weight, bias, gelu)
    if gelu is None:
        return y
    return F.gelu(y, approximate=gelu) if keeps_graph else torch.ops.aten.gelu_(y, approximate=gelu)


class _Linear(torch.autograd.Function):
    """The same with a backward; the gradient of the weight stays with torch, which is as fast there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            _multiply(grad, weight.t()) if wants_x else None,
            rows.t() @ x.flatten(0, -2) if wants_weight else None,
            rows.sum(0) if wants_bias else None,
        )


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: str | None = None) -> Tensor:
    rows = x.flatten(0, -2)
    count = len(rows)
    if extra := _round(count) - count:  # padding by 0 would copy, 4 % of a layer
        rows = F.pad(rows, (0, 0, 0, extra))
    name = "none" if gelu is None else "gelu"
    y = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, name, [], gelu or "")
    return y[:count].view(*x.shape[:-1], -1)


def _round(rows: int) -> int:
    """The number of rows that is multiplied in place of ``rows``.

    oneDNN generates and keeps code for each number of rows, 0.6 MiB a shape: as many as there are lengths would be a
    leak in a long service. So there are 22 up to 1,024 rows, and 16 or 32 for each doubling beyond.
    """
    step = 16 if rows <= 128 else max(64, 1 << (rows - 1).bit_length() >> 5)
    return -(-rows // step) * step


def _fuses(x: Tensor, weight: Tensor) -> bool:
    # what traces or batches a program knows the stock operators better
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transforming():
        return False
    return bool(
        _HAS_ONEDNN
        and torch._C._get_mkldnn_enabled()
        and type(x) is Tensor
        and x.device.type == "cpu"
        and x.dtype == weight.dtype
        and x.dtype in _DTYPES
        and not torch.is_autocast_enabled("cpu")
        and _pays(x.numel() // max(x.shape[-1], 1))
    )


def _pays(rows: int) -> bool:
    """Whether rounding adds less than oneDNN gains."""
    return rows > 0 and 8 * _round(rows) <= 9 * rows
