"""What this installation can do, as plain facts: versions, devices, attention backends."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Return the facts, ready for JSON.

    ``attention backends`` are the values of ``attn_implementation`` with what each needs; ``bfloat16 in hardware`` is
    about the CPU; ``contract model`` is the folder of the model inside the package, or None where it is missing.
    """
    import torch

    from longspan.ops.window.availability import backend_notes

    cpu = torch.cpu.get_capabilities()
    model = Path(__file__).parents[1] / "pretrained" / "contracts"
    return {
        "longspan": version("longspan"),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "tokenizers": version("tokenizers"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "devices": ["cpu", *_accelerators()],
        "cpu": str(cpu.get("cpu_name", platform.processor())),
        "cpu kernels": torch.backends.cpu.get_cpu_capability(),
        "bfloat16 in hardware": any(cpu.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")),
        "threads": torch.get_num_threads(),
        "attention backends": {"eager" if k == "reference" else k: note for k, note in backend_notes().items()},
        "contract model": str(model) if (model / "config.json").is_file() else None,
    }


def _accelerators() -> list[str]:
    import torch

    found = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return [*found, *(["mps"] if torch.backends.mps.is_available() else [])]
