"""Files by size and hash: what tells that one is missing, damaged or another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def describe_files(folder: Path, paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Name within ``folder`` -> size and SHA-256, for each of its files ``paths``."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": hash_file(path)}
        for path in sorted(paths)
    }


def find_fault(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What is wrong with the files of a folder, or None where all are there, each of its size and hash."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["size"]:
            return f"{name} has {path.stat().st_size} bytes instead of {expected['size']}"
    # sizes first: hashes take a second a gigabyte
    for name, expected in files.items():
        if hash_file(folder / name) != expected["sha256"]:
            return f"{name} has changed"
    return None


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
