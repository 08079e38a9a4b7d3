"""What the figures were taken on, and how fast it multiplies matrices."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PEERS = ("torch", "transformers", "local-attention", "nystrom-attention")


def matrix_rate(size: int = 2048, repetitions: int = 4) -> float:
    """The machine's float32 matrix-product rate in operations per second: the best run of the best routine."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    routines: list[Callable[[], Tensor]] = [lambda: torch.mm(a, b)]
    if torch.backends.mkldnn.is_available():  # oneDNN: faster than the BLAS behind torch.mm on some processors
        routines.append(lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    times = []
    with torch.inference_mode():
        for _ in range(repetitions):
            for routine in routines:
                start = time.perf_counter()
                routine()
                times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices by itself."""
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def machine() -> dict[str, Any]:
    """Processor, threads and versions."""
    return {
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "avx512_bf16": has_bfloat16(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PEERS},
    }


def commit() -> str:
    """The commit that the working tree stands on, with a sign where the tree differs from it."""
    where = Path(__file__).parent
    try:
        name = _git(where, "rev-parse", "--short=12", "HEAD")
        return name + (" (changed)" if _git(where, "status", "--porcelain", "--", "../src", ".", ":!results") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(where: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True).stdout.strip()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
