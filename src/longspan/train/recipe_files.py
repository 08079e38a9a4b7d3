"""YAML files of recipes: those in a folder that ships with the package, by their names, or a user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

RecipeT = TypeVar("RecipeT")


def list_files(folder: Path) -> list[str]:
    """The names of the recipes in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_file(name: str, folder: Path, parse: Callable[[str, dict[str, Any]], RecipeT]) -> RecipeT:
    """The recipe of that name in the folder, or else of that file, from its name and content by ``parse``.

    Raises:
        OSError: the file cannot be read.
        ValueError: there is no such recipe, or it is not one; the message says where and why.
    """
    import yaml

    known = list_files(folder)
    path = folder / f"{name}.yaml" if name in known else Path(name)
    if not path.is_file():
        raise ValueError(f"there is no recipe {name!r}, nor such a file; the recipes are {', '.join(known)}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("a recipe must be a mapping of names to values")
        return parse(path.stem, content)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None


def check_keys(content: dict[str, Any], known: Sequence[str], needed: Sequence[str]) -> None:
    """Check what a recipe names.

    Raises:
        ValueError: a key is not known, or one that is needed is not there.
    """
    unknown = sorted(set(map(str, content)) - set(known))
    if unknown:
        raise ValueError(f"a recipe has no key {', '.join(unknown)}; it has {', '.join(known)}")
    missing = [key for key in needed if key not in content]
    if missing:
        raise ValueError(f"the recipe lacks {', '.join(missing)}")
