"""One run at a time in a folder: a second command would remove what the first one is writing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


class BusyRun(OSError):
    """Another command is at work in the folder of a run."""


@contextmanager
def hold(folder: Path, process: int = 0, processes: int = 1) -> Iterator[None]:
    """Have a folder to oneself while the block runs.

    The lock is the operating system's: it goes with the process that holds it, however that ends. Of several processes
    of a run the first holds it for all.

    Args:
        folder: where the lock is; it must exist.
        process: which of the run's processes this is.
        processes: how many it has.

    Raises:
        BusyRun: another command holds it.
        OSError: the folder cannot be written to.
    """
    from filelock import FileLock

    lock, holder = FileLock(folder / "lock"), folder / "process.txt"
    # every process has to know, or the others wait for the first
    fault: list[OSError | None] = [_acquire(lock, holder) if process == 0 else None]
    if processes > 1:
        import torch

        torch.distributed.broadcast_object_list(fault, src=0)
    if fault[0] is not None:
        raise fault[0]
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, holder: Path) -> OSError | None:
    """What went wrong; else the lock is held, and ``holder`` says by whom."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except Timeout:
        by = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        return BusyRun(f"{holder.parent} is in use by {by}: the run goes on there. Wait for it, or end it first")
    except OSError as error:
        return error
    return None
