"""The last TensorFlow Longformer of transformers in an environment of its own, built when it is first asked for."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("keras_old.txt")


def old_python(folder: Path | None = None) -> Path:
    """The interpreter of the environment with the packages of ``keras_old.txt``.

    Args:
        folder: that holds such environments, by default ``longspan/benchmarks`` in the user's cache.

    Raises:
        subprocess.CalledProcessError: ``venv`` or ``pip`` failed; the next call begins anew.
    """
    if folder is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longspan" / "benchmarks"
    home = folder / f"transformers-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = home / "ready"
    if not ready.exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            # isolated: packages on PYTHONPATH would count as installed
            [str(python), "-I", "-m", "pip", "install", "--no-deps", "-r", str(PINS)],
        ):
            # what they print is no part of a table
            subprocess.run(command, check=True, stdout=sys.stderr)
        ready.touch()
    return python
