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
from longspan.train.recipe_files import check_keys, list_files, read_file

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
    return list_files(FOLDER)


def read_recipe(name: str) -> Recipe:
    """The shipped recipe of that name, or the one in a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: there is no such recipe, or it is not one; the message says where and why.
    """
    return read_file(name, FOLDER, _parse)


def _parse(name: str, content: dict[str, Any]) -> Recipe:
    check_keys(content, _KEYS, (*_TEXTS, "expected", "source", "task"))
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
