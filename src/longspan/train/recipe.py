"""Recipes: short YAML files that say how a model is trained, what that costs and which score it should reach.

Those in the folder ``recipes`` ship with the package; ``longspan train --recipe`` takes one by its name, or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longspan.tasks.registry import TASKS
from longspan.train.arguments import Arguments

FOLDER = Path(__file__).parent / "recipes"
FAMILIES = ("longformer", "nystromformer")

_TEXTS = ("about", "command", "cost")
_KEYS = (*_TEXTS, "expected", "source", "task", "options", "layout", "scratch", "family", "arguments")


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Attributes:
        name: the file's, without ``.yaml``.
        about: what is learnt from what.
        command: the command that runs it, with the places of the data as ``$LONGSPAN_DATA/...``.
        cost: time and machine.
        expected: score by metric; empty where nobody has measured it yet.
        source: whose figures ``expected`` holds: of a run here, or of a paper.
        task: name of the task.
        options: of the task.
        layout: of the data, or None.
        scratch: size of new weights, or None where the command names a checkpoint.
        family: of new weights.
        arguments: of training.
    """

    name: str
    about: str
    command: str
    cost: str
    expected: Mapping[str, float]
    source: str
    task: str
    options: Mapping[str, Any] = field(default_factory=dict)
    layout: str | None = None
    scratch: str | None = None
    family: str = "longformer"
    arguments: Mapping[str, Any] = field(default_factory=dict)


def list_recipes() -> list[str]:
    """The names of the recipes that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_recipe(name: str) -> Recipe:
    """The shipped recipe of that name, or the one in a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: there is no such recipe, or it is not one; the message says where and why.
    """
    import yaml

    path = FOLDER / f"{name}.yaml" if name in list_recipes() else Path(name)
    if not path.is_file():
        raise ValueError(f"there is no recipe {name!r}, nor such a file; the recipes are {', '.join(list_recipes())}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _parse(path.stem, content)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None


def _parse(name: str, content: Any) -> Recipe:
    if not isinstance(content, dict):
        raise ValueError("a recipe must be a mapping of names to values")
    unknown = sorted(set(map(str, content)) - set(_KEYS))
    if unknown:
        raise ValueError(f"a recipe has no key {', '.join(unknown)}; it has {', '.join(_KEYS)}")
    missing = [key for key in (*_TEXTS, "expected", "source", "task") if key not in content]
    if missing:
        raise ValueError(f"the recipe lacks {', '.join(missing)}")
    for key in (*_TEXTS, "source"):
        if not isinstance(content[key], str):
            raise ValueError(f"{key} must be a text, got {content[key]!r}")
    if content["task"] not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {content['task']!r}")
    if content.get("family", FAMILIES[0]) not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {content['family']!r}")
    for key in ("expected", "options", "arguments"):
        if not isinstance(content.get(key, {}), dict):
            raise ValueError(f"{key} must be a mapping, got {content[key]!r}")
    for metric, score in content["expected"].items():
        if not isinstance(score, int | float) or isinstance(score, bool):
            raise ValueError(f"expected {metric} must be a number, got {score!r}")
    Arguments.from_dict(content.get("arguments", {}))
    return Recipe(name=name, **content)
