"""What makes a run this run: kept beside its data, compared when it is resumed.

Files count by their content: data that was edited, or a checkpoint that was trained anew, is another one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from longspan.tasks.task import Task
from longspan.train.arguments import EPOCHS, Arguments
from longspan.train.building import Start, known_options
from longspan.train.manifest import hash_file
from longspan.train.publishing import model_files
from longspan.train.sources import Sources

# How rows are dealt out, how much is kept and where it is computed may change between two parts of a run.
_FREE = ("batch", "accumulate", "keep", "fsdp", "cpu")

_RESOLVED = "options with those of the checkpoint"

_STAMPS = ("data", "validation", "files of the model", "files of the tokenizer")


class DifferentRun(ValueError):
    """The folder holds a run with other arguments."""


def describe(task: Task[Any], sources: Sources, start: Start, arguments: Arguments, processes: int) -> dict[str, Any]:
    """Everything that decides what a run computes, ready for JSON."""
    free = {name: value for name, value in dataclasses.asdict(arguments).items() if name not in _FREE}
    return {
        "task": task.name,
        "options": _chosen(task.options()),
        _RESOLVED: _chosen(known_options(start, task) or {}),
        "data": stamp(sources.data),
        "validation": None if sources.validation is None else stamp(sources.validation),
        "layout": sources.layout,
        "skip_bad": sources.skip_bad,
        **dataclasses.asdict(start),
        "files of the model": _stamp_model(start.model),
        "files of the tokenizer": _stamp_model(start.tokenizer),
        **free,
        "epochs": EPOCHS if arguments.epochs is None else arguments.epochs,
        "rows a step (batch x accumulate x processes)": arguments.batch * arguments.accumulate * processes,
    }


def check_same(out: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare the run in the folder ``out`` with the one that is asked for.

    Raises:
        DifferentRun: a value is another, naming each.
    """
    changes = [
        f"{name} was {_show(then.get(name))}, is {_show(now.get(name))}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
    if changes:
        raise DifferentRun(
            f"{out} holds a run with other arguments: {'; '.join(changes)}. "
            "Give the same ones to go on, or another folder to begin anew"
        )


def complete(then: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What `describe` of an earlier version returned, with what that did not say taken from `now`."""
    known = {_RESOLVED: now[_RESOLVED], **then, "options": _chosen(then["options"])}
    return known | {name: _fill(then[name], now[name]) if name in then else now[name] for name in _STAMPS}


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Options as JSON has them, without those that nobody chose: a later version may have more of them."""
    return {name: value for name, value in json.loads(json.dumps(options)).items() if value is not None}


def stamp(name: str | Path) -> dict[str, Any]:
    """A file or folder by its place, size and content."""
    path = Path(name)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return _describe(path, files)


def _stamp_model(name: str | None) -> dict[str, Any] | None:
    """A checkpoint by its content; None where it is no folder."""
    return None if name is None or not Path(name).is_dir() else _describe(Path(name), model_files(Path(name)))


def _describe(path: Path, files: Iterable[Path]) -> dict[str, Any]:
    files = sorted(files)
    content = hashlib.sha256()
    for file in files:
        content.update(f"{file.relative_to(path).as_posix()} {hash_file(file)}\n".encode())
    return {
        "path": str(path.absolute()),
        "bytes": sum(file.stat().st_size for file in files),
        "sha256": content.hexdigest(),
    }


def _fill(then: Any, now: Any) -> Any:
    """A stamp with what it does not say taken from another."""
    return {**now, **then} if isinstance(then, dict) and isinstance(now, dict) else then


def _show(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"path", "bytes", "sha256"}:
        return f"{value['path']} ({value['bytes']:,} bytes, SHA-256 {value['sha256'][:12]})"
    return json.dumps(value)
