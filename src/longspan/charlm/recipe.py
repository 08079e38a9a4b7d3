"""Recipes: YAML files with a model, the stages of its training, what they cost and what they should reach.

Those in the folder ``recipes`` ship with the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longspan.charlm.settings import make_settings
from longspan.train.recipe_files import check_keys, list_files, read_file

FOLDER = Path(__file__).parent / "recipes"

_TEXTS = ("about", "command", "cost", "source")
_KEYS = (*_TEXTS, "expected", "characters", "validation", "test", "settings", "stages")


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Attributes:
        name: the file's, without ``.yaml``.
        about: what is learnt from what.
        command: the command that runs it.
        cost: time and machine.
        source: whose figures ``expected`` holds.
        expected: bits per character by part; empty where nobody has measured it.
        stages: of training.
        settings: of the model and its training.
        characters: of the text that it is for; None for any.
        validation, test: shares of the text.
    """

    name: str
    about: str
    command: str
    cost: str
    source: str
    expected: Mapping[str, float]
    stages: list[Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    characters: int | None = None
    validation: float = 0.05
    test: float = 0.05


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
    check_keys(content, _KEYS, (*_TEXTS, "expected", "stages"))
    kinds: dict[str, Any] = {key: str for key in _TEXTS} | {"expected": dict, "settings": dict, "stages": list}
    kinds |= {"characters": int, "validation": float, "test": float}
    for key, kind in kinds.items():
        value = content.get(key, kind())
        if not isinstance(value, kind) and not (kind is float and type(value) is int):
            raise ValueError(f"{key} must be of type {kind.__name__}, got {value!r}")
    recipe = Recipe(name=name, **content)
    make_settings(recipe.settings, recipe.stages, {})
    return recipe
