"""A process's resident memory, and its peak in a block of work; on Linux, by the standard library alone."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path


class Peak:
    """The largest growth of the process's resident memory within a block, in bytes; None where Linux is not there."""

    bytes: int | None = None

    def __enter__(self) -> Peak:
        self._start = None
        if Path("/proc/self/clear_refs").exists():
            trim()
            Path("/proc/self/clear_refs").write_text("5")  # the kernel's high-water mark starts anew
            self._start = status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if self._start is not None:
            self.bytes = max(0, status("VmHWM") - self._start)


def trim() -> None:
    """Give back what malloc keeps free (Linux)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def status(field: str) -> int:
    """A field of the process's status in bytes (Linux)."""
    text = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(field + ":"))) * 1024
