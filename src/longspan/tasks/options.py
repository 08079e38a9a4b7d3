"""The options of a task, which are the arguments of its class: their names and kinds, read from the signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints


def option_kinds(task: type) -> dict[str, tuple[Any, ...]]:
    """Name -> the types of which a value may be, for each option of a task's class."""
    inits = [vars(base)["__init__"] for base in task.__mro__[:-1] if "__init__" in vars(base)]
    hints = get_type_hints(inits[0]) if inits else {}
    return {name: kinds_of(hint) for name, hint in hints.items() if name != "return"}


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """The types of an annotation such as ``int | None``: ``(int, NoneType)``."""
    return (hint,) if get_origin(hint) is not None and issubclass(_plain(hint), Sequence) else get_args(hint) or (hint,)


def check_options(name: str, kinds: Mapping[str, tuple[Any, ...]], options: Mapping[str, Any]) -> None:
    """Check options of the task ``name``.

    Raises:
        ValueError: there is no such option, or a value is of another kind.
    """
    for option, value in options.items():
        if option not in kinds:
            known = f"there are {', '.join(kinds)}" if kinds else "it has none"
            raise ValueError(f"the task {name} has no option {option!r}; {known}")
        if not any(_fits(value, kind) for kind in kinds[option]):
            wanted = " or ".join(map(_name, kinds[option]))
            raise ValueError(f"the option {option} of the task {name} must be of type {wanted}, got {value!r}")


def _name(kind: Any) -> str:
    items = get_args(kind)
    return f"list of {_name(items[0])}" if items else _plain(kind).__name__.replace("NoneType", "null")


def _plain(kind: Any) -> type:
    """A type without its parameters."""
    plain: type = get_origin(kind) or kind
    return plain if isinstance(plain, type) else object


def _fits(value: Any, kind: Any) -> bool:
    plain = _plain(kind)
    if isinstance(value, bool) or plain is bool:  # True is an int to Python, and never one to a person
        return isinstance(value, bool) and plain is bool
    if plain is float:
        return isinstance(value, int | float)
    if issubclass(plain, Sequence) and plain is not str:
        return isinstance(value, list | tuple) and all(
            _fits(item, known) for item in value for known in get_args(kind)[:1]
        )
    return isinstance(value, plain)
