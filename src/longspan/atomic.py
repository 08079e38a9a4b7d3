"""Files and folders that are there whole or not at all, also after a crash or a loss of power.

What is written has another name, ``.writing-NAME``, until everything in it has reached the disk.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def partial_name(target: Path) -> Path:
    """The name under which a file or folder is written."""
    return target.with_name(f".writing-{target.name}")


@contextmanager
def write_file(target: Path) -> Iterator[Path]:
    """The name of a file to write, which takes the place of ``target`` when the block ends well, else disappears."""
    partial = partial_name(target)
    try:
        yield partial
        publish(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(target: Path, content: Any) -> None:
    """Write ``content`` in the place of what is there; a crash leaves the one or the other."""
    with write_file(target) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the name ``folder`` when the block ends well, else disappears.

    What a crash leaves is removed by the next attempt.
    """
    partial = partial_name(folder)
    shutil.rmtree(partial, ignore_errors=True)
    with _made(partial):
        yield partial
    publish(partial, folder)


@contextmanager
def write_new_folder(folder: Path) -> Iterator[Path]:
    """The same, but never over anything, and each process writes under a name of its own.

    Raises:
        FileExistsError: something has that name, before or after the block.
    """
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_name(folder)
    with _made(partial.with_name(f"{partial.name}.{os.getpid()}")) as partial:
        yield partial
        check_free(folder)
        publish(partial, folder)


def check_free(target: Path) -> None:
    """Refuse to write over anything.

    Raises:
        FileExistsError: something has that name.
    """
    if os.path.lexists(target):
        raise FileExistsError(f"{target} exists already: nothing is written over, name a new directory")


def publish(partial: Path, target: Path) -> None:
    """Give a written file or folder its name, after everything in it has reached the disk."""
    inside = sorted(partial.rglob("*"))
    for path in [*(p for p in inside if p.is_file()), partial, *(p for p in inside if p.is_dir())]:
        _sync(path)
    if partial.is_dir() and target.exists():  # an earlier one that was found broken
        shutil.rmtree(target)
    os.replace(partial, target)
    _sync(target.parent)


def remove_left_overs(*folders: Path) -> None:
    """Remove what a crash left half-written, or half-removed."""
    for folder in folders:
        for path in [*folder.glob(".writing-*"), *folder.glob(".removing-*")]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # a folder cannot be synced everywhere; its files can
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)
