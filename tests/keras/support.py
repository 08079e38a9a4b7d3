"""Processes of a backend, which the tests of the Keras classes start and read."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

# the package that each backend of Keras needs
PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
ROOT = Path(__file__).parents[2]


def skip_without(backend: str) -> None:
    """Skip a test where Keras or one of its backends is not installed."""
    for package in ("keras", PACKAGES[backend]):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (extras keras, tf, jax)")


def run(backend: str, *arguments: object, timeout: float = 500) -> list[str]:
    """The lines that ``python -m ARGUMENTS`` prints on ``backend``, with one thread."""
    skip_without(backend)
    # XLA then compiles in half the time
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    done = subprocess.run(
        [sys.executable, *([] if arguments[0] == "-c" else ["-m"]), *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "XLA_FLAGS": quick,
        },
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()
