"""Checkpoints of a run: each with a manifest of its files, and only whole ones are resumed.

A checkpoint is written under another name, gets a manifest with the size and SHA-256 of every file, and then its own
name, in one step of the file system. So a crash leaves it whole or unnamed; the manifest finds what happens later.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from longspan.atomic import publish
from longspan.train import manifest

logger = logging.getLogger("longspan.train")

MANIFEST = "manifest.json"
STATE = "trainer_state.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def commit(partial: Path, folder: Path, step: int) -> None:
    """Make a written folder the checkpoint ``folder``."""
    write_manifest(partial, step)
    publish(partial, folder)


def write_manifest(folder: Path, step: int) -> None:
    """Write the names, sizes and hashes of all files of a folder into it."""
    files = manifest.describe_files(folder, (path for path in folder.rglob("*") if path.is_file()))
    text = json.dumps({"step": step, "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def find_fault(folder: Path) -> str | None:
    """What a checkpoint lacks, or None where it is whole: every file there, of its size and hash."""
    try:
        files = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except FileNotFoundError:
        return "it has no manifest"
    except (ValueError, KeyError, TypeError):
        return "its manifest is damaged"
    return manifest.find_fault(folder, files)


def list_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """The named checkpoints of a run with their steps, whole or not, the last first."""
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*")]
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def find_last(folder: Path) -> tuple[int, Path] | None:
    """The last whole checkpoint; those that are not whole are named in the log and left alone."""
    for step, path in list_checkpoints(folder):
        fault = find_fault(path)
        if fault is None:
            return step, path
        logger.warning("%s is not resumed: %s", path, fault)
    return None


def read_history(checkpoint: Path) -> list[dict[str, Any]]:
    """What was logged up to a checkpoint: one dict a line, each with its ``step``."""
    history: list[dict[str, Any]] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["log_history"]
    return history


def best_step(history: Iterable[dict[str, Any]], metric: str, greater: bool, steps: Iterable[int]) -> int | None:
    """The step among ``steps`` whose evaluation has the best ``metric``, the first of equals; None without any."""
    steps = set(steps)
    scores = {
        line["step"]: line[f"eval_{metric}"] if greater else -line[f"eval_{metric}"]
        for line in history
        if f"eval_{metric}" in line and line["step"] in steps
    }
    known = {step: score for step, score in scores.items() if score == score}  # not NaN
    return min(known, key=lambda step: (-known[step], step)) if known else None


def remove_old(folder: Path, keep: int, best: int | None) -> None:
    """Remove all checkpoints but the last ``keep`` and the best."""
    for step, path in list_checkpoints(folder)[keep:]:
        if step != best:
            # first its name, so that a crash in the middle leaves nothing that looks like a checkpoint
            doomed = path.with_name(f".removing-{path.name}")
            path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
