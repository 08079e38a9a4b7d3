"""A linear layer for inference on a CPU, with GELU in the same call: oneDNN where it serves, stock torch elsewhere.

torch sends a float32 linear layer to the BLAS it was built with. On x86, oneDNN, which the same build holds for
bfloat16 and for Inductor, multiplies the shapes of an encoder 10 to 20 % faster, short inputs 40 % faster, adds the
bias without a pass of its own and applies GELU while the result is in cache (docs/performance.md has the figures).
"""

from __future__ import annotations

import platform

import torch
import torch.nn.functional as F
from torch import Tensor

_DTYPES = (torch.float32, torch.bfloat16)
_HAS_ONEDNN = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: str | None = None) -> Tensor:
    """``gelu(x W^T + b)``, a tensor of its own that the caller may overwrite. Not differentiable.

    Args:
        x: (..., n).
        weight: (m, n).
        bias: (m,) or None.
        gelu: None, or the form of GELU to apply, ``"none"`` (exact) or ``"tanh"``, as torch names them.

    Returns:
        (..., m).
    """
    if _fuses(x, weight):
        name = "none" if gelu is None else "gelu"
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], gelu or "")
    x = F.linear(x, weight, bias)
    return x if gelu is None else torch.ops.aten.gelu_(x, approximate=gelu)


def _fuses(x: Tensor, weight: Tensor) -> bool:
    # what traces or batches a program knows the stock operators better
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active():
        return False
    return bool(
        _HAS_ONEDNN
        and torch._C._get_mkldnn_enabled()
        and type(x) is Tensor
        and x.device.type == "cpu"
        and x.dtype == weight.dtype
        and x.dtype in _DTYPES
        and not torch.is_autocast_enabled("cpu")
    )
