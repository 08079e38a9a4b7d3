"""Helpers that tests of different parts share: error budgets, watching what torch does, peak memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def largest(x: Tensor) -> float:
    """Largest absolute value, 0 for an empty tensor, NaN if there is one."""
    return float(x.detach().double().abs().max()) if x.numel() else 0.0


def error(actual: Tensor, expected: Tensor) -> float:
    """Largest absolute difference, scaled by the largest expected value (at least 1); NaN if there is one."""
    assert actual.shape == expected.shape, f"shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    return largest(actual.detach().double() - expected.detach().double()) / max(1.0, largest(expected))


def assert_close(
    actual: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float, names: Sequence[str] | None = None
) -> None:
    """Each tensor within ``tolerance`` of the expected one, scaled by its largest value. NaN fails."""
    names = names or [f"tensor {i}" for i in range(len(expected))]
    for name, a, e in zip(names, actual, expected, strict=True):
        found = error(a, e)
        assert found <= tolerance, f"{name}: error {found:.2e} above {tolerance:.2e}"


def assert_within_budget(
    actual: Sequence[Tensor],
    plain: Sequence[Tensor],
    exact: Sequence[Tensor],
    factor: float,
    floor: float = 1e-7,
    names: Sequence[str] | None = None,
) -> None:
    """The error of ``actual`` is at most ``factor`` times that of ``plain``, the same dtype computed plainly.

    Both are measured against ``exact`` (float64): the root mean square, and, since one unlucky element decides it,
    the largest with twice the factor. ``floor`` is allowed in any case. Infinities have to be in the same places.
    """
    names = names or [f"tensor {i}" for i in range(len(exact))]
    for name, a, p, e in zip(names, actual, plain, exact, strict=True):
        assert a.isinf().equal(e.isinf()) and not a.isnan().any(), f"{name} is not finite"
        found, own = ((x.detach().double() - e.detach())[e.isfinite()] for x in (a, p))
        for kind, size, times in (("rms", _rms, factor), ("largest", largest, 2 * factor)):
            bound = times * size(own) + floor
            assert size(found) <= bound, f"{name}: {kind} error {size(found):.2e}, plain {size(own):.2e}"


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt()) if x.numel() else 0.0


class Watch(TorchDispatchMode):
    """Counts operations and keeps the largest tensor any of them returned, by what it occupies.

    Storage is counted, not elements: an overlapping view is as large as what it stands on. It does not see inside an
    opaque operator: call the operator's body under it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.elements = 0
        self.operation = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls[func.overloadpacket.__name__] += 1
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                elements = leaf.untyped_storage().nbytes() // leaf.element_size()
                if elements > self.elements:
                    self.elements, self.operation = elements, str(func)
        return result


@contextlib.contextmanager
def uninitialized_is_nan() -> Iterator[None]:
    """What ``torch.empty`` and its relatives return is full of NaN (integers: the largest)."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all(), "torch.utils.deterministic.fill_uninitialized_memory is off"
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def run_python(code: str, *arguments: str, timeout: float = 300) -> str:
    """Run ``code`` in a fresh process with one thread; what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", "import torch; torch.set_num_threads(1)\n" + code, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def run_module(module: str, *arguments: object, timeout: float = 300) -> str:
    """Run ``python -m module`` from the repository with one thread and without the Hub; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def peak_mib(setup: str, *works: str) -> list[float]:
    """Extra peak memory in MiB that each of ``works`` needs after ``setup``, in one fresh process (Linux).

    Large blocks bypass malloc's cache (M_MMAP_THRESHOLD), so that freed memory leaves the process at once.
    """
    code = f"""
import ctypes, gc
ctypes.CDLL("libc.so.6").mallopt(-3, 1 << 16)

def read(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024

def restart():
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew
    return read("VmRSS")

{setup}
"""
    for work in works:
        code += f'before = restart()\n{work}\nprint("peak", read("VmHWM") - before)\n'
    return [float(line.split()[1]) for line in run_python(code).splitlines() if line.startswith("peak ")]
