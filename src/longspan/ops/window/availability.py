"""What each backend of the window operation needs, and on which GPUs it was verified."""

from __future__ import annotations

import torch

from . import cpp

# GPUs, by the names that torch gives them, on which `python -m benchmarks.gpu` checked the backend and whose result is
# in benchmarks/results/gpu.json
VERIFIED: dict[str, tuple[str, ...]] = {"flex_attention": (), "flash_varlen": ()}


def backend_notes() -> dict[str, str]:
    """For each backend what it needs, and whether it was verified on the GPU of this machine."""
    return {
        "reference": "any device; dense, for checking",
        "sdpa": "any device",
        "cpp": f"CPU with AVX-512 and a C++ compiler {_on_this_cpu()}",
        "flex_attention": f"CPU with a C++ compiler, forward only; CUDA {_on_cuda('flex_attention')}",
        "flash_varlen": f"CUDA in float16 and bfloat16 {_on_cuda('flash_varlen')}",
    }


def _on_this_cpu() -> str:
    reason = cpp.missing()
    if reason is not None:
        return f"(not here: {reason})"
    return "(here, in float32)" if cpp.missing(torch.bfloat16) else "(here, in float32 and bfloat16)"


def _on_cuda(backend: str) -> str:
    verified = VERIFIED[backend]
    if not torch.cuda.is_available():
        return f"(none here; {'verified on ' + ', '.join(verified) if verified else 'unverified'})"
    name = torch.cuda.get_device_name()
    return f"({'verified' if name in verified else 'unverified'} on {name})"
