"""Options of the form NAME=VALUE, with values as YAML has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import typer

_NUMBER = re.compile(r"[-+]?\d+\.?\d*[eE][-+]?\d+")  # to YAML, 5e-5 is text


def read_assignments(texts: Sequence[str] | None, kinds: Mapping[str, tuple[Any, ...]], option: str) -> dict[str, Any]:
    """Name -> value.

    Args:
        texts: as they were given; the last one of a name counts.
        kinds: name -> the types of which its value may be. Where that is text alone, the value is taken as it stands.
        option: how the command line calls it, for messages.

    Raises:
        typer.BadParameter: a text is no assignment, or there is no such name.
    """
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"write NAME=VALUE, got {text!r}", param_hint=option)
        if name not in kinds:
            known = f"there are {', '.join(kinds)}" if kinds else "there is none"
            raise typer.BadParameter(f"there is no {name!r}; {known}", param_hint=option)
        found[name] = _read_value(value, set(kinds[name]))
    return found


def _read_value(text: str, kinds: set[Any]) -> Any:
    import yaml

    if kinds == {str} or (kinds == {str, type(None)} and text != "null"):
        return text
    if _NUMBER.fullmatch(text):
        return float(text)
    # names in a list stand as they are written, too: [yes, no] are no truth values
    lists_of_text = any(get_args(kind) == (str,) for kind in kinds)
    try:
        value = yaml.safe_load(text)
        return yaml.load(text, yaml.BaseLoader) if lists_of_text and isinstance(value, list) else value
    except yaml.YAMLError:
        return text
