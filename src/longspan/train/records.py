"""What a run writes down beside its scores: its evaluations, its peak memory, and where it ran."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def read_history(path: Path) -> dict[str, Any]:
    """The evaluations so far, and the peak memory of all parts of the run."""
    return read_json(path) if path.exists() else {"evaluations": [], "peak_memory_bytes": 0}


def add_peak(history: dict[str, Any], peak: int) -> None:
    """Keep the larger peak."""
    history["peak_memory_bytes"] = max(history["peak_memory_bytes"], peak)


def peak_memory() -> int:
    """Most bytes that were in use: of the accelerator where there is one, else of the process; 0 where unknown."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def where_it_ran(device: Any) -> dict[str, Any]:
    """Command, commit, date, hardware and versions."""
    import torch

    cpu = torch.cpu.get_capabilities()
    name = str(cpu.get("cpu_name", platform.processor()))
    return {
        "command": shlex.join(["longspan", *sys.argv[1:]]),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else name,
        "threads": torch.get_num_threads(),
        "versions": {p: version(p) for p in ("longspan", "torch", "transformers", "numpy")},
    }


def _commit() -> str | None:
    """The commit of the sources, with a mark where they have changed since; None outside a git checkout."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{name} with changes" if changed else name


def _git(*arguments: str) -> str:
    folder = Path(__file__).parents[1]
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
