"""Result files: one JSON file for an experiment and a system, with what is needed to get the same again."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"

VERSIONS = ("torch", "transformers", "tokenizers", "scikit-learn", "numpy")


def write_result(
    experiment: str,
    system: str,
    command: str,
    runs: Sequence[Mapping[str, Any]],
    code: str,
    folder: Path = FOLDER,
    **facts: Any,
) -> Path:
    """Write ``folder/<experiment>.<system>.json`` and return its path.

    Args:
        experiment: its name.
        system: "baselines" or the model's family.
        command: that made it.
        runs: each with ``system``, ``seed``, ``validation`` and ``test`` (scores by metric), and what else is known.
        code: the commit when it began, see :func:`commit`.
        folder: where results are.
        **facts: of all runs.
    """
    content = {
        "experiment": experiment,
        "command": command,
        "commit": code,
        **when_and_where(VERSIONS),
        **facts,
        "runs": list(runs),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{experiment}.{system}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def when_and_where(packages: Sequence[str]) -> dict[str, Any]:
    """The present ``date``, and the ``machine`` with the versions of ``packages``."""
    from benchmarks.machine import machine

    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            **{name: x for name, x in machine().items() if name in ("processor", "threads", "system", "python")},
            **{name: importlib.metadata.version(name) for name in packages},
        },
    }


def read_results(folder: Path = FOLDER) -> dict[str, list[dict[str, Any]]]:
    """The result files of :func:`write_result` in ``folder`` by experiment, each with its ``file``."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(content["experiment"], []).append({**content, "file": path.name})
    return found


def commit() -> str:
    """The commit of the working tree, with "(changed)" where package or experiments differ from it."""
    root = Path(__file__).parent.parent
    try:
        name = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "src", "experiments", ":!experiments/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} (changed)" if changed else name


def _git(where: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True).stdout.strip()
