"""Files and folders that are there whole or not at all, also after a crash or a loss of power."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the name ``folder`` when the block ends well.

    What a crash leaves has another name, beginning with a dot, and is removed by the next attempt.
    """
    partial = partial_name(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    publish(partial, folder)


def partial_name(folder: Path) -> Path:
    """The name under which a folder is written."""
    return folder.with_name(f".writing-{folder.name}")


def publish(partial: Path, folder: Path) -> None:
    """Give a written folder its name, after every file in it has reached the disk."""
    for path in sorted(partial.rglob("*")):
        if path.is_file():
            _sync(path)
    for path in [partial, *(p for p in partial.rglob("*") if p.is_dir())]:
        _sync(path)
    if folder.exists():  # an earlier one that was found broken
        shutil.rmtree(folder)
    os.replace(partial, folder)
    _sync(folder.parent)


def remove_left_overs(*folders: Path) -> None:
    """Remove what a crash left half-written, or half-removed."""
    for folder in folders:
        for path in [*folder.glob(".writing-*"), *folder.glob(".removing-*")]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` in the place of what is there; a crash leaves the one or the other."""
    partial = path.with_name(f".writing-{path.name}")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _sync(partial)
    os.replace(partial, path)
    _sync(path.parent)


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
