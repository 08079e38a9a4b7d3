"""Recipes: YAML files with a model, the stages of its training, what they cost and what they should reach.

Those in the folder ``recipes`` ship with the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        return _parse(path.stem, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None


def _parse(name: str, content: Any) -> Recipe:
    if not isinstance(content, dict):
        raise ValueError("a recipe must be a mapping of names to values")
    unknown = sorted(set(map(str, content)) - set(_KEYS))
    if unknown:
        raise ValueError(f"a recipe has no key {', '.join(unknown)}; it has {', '.join(_KEYS)}")
    missing = [key for key in (*_TEXTS, "expected", "stages") if key not in content]
    if missing:
        raise ValueError(f"the recipe lacks {', '.join(missing)}")
    kinds: dict[str, Any] = {key: str for key in _TEXTS} | {"expected": dict, "settings": dict, "stages": list}
    for key, kind in kinds.items():
        if not isinstance(content.get(key, kind()), kind):
            raise ValueError(f"{key} must be of type {kind.__name__}, got {content[key]!r}")
    return Recipe(name=name, **content)
