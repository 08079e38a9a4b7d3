"""Checks of arguments that both operations share: each error names the argument, what came and what is possible."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

# operators take 64-bit integers
_MOST = 2**63 - 1


def check_tensor(name: str, x: object, *, optional: bool = False) -> None:
    """``x`` must be a tensor, or with ``optional`` None.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(x, Tensor) and not (optional and x is None):
        raise TypeError(f"{name} must be a tensor{' or None' if optional else ''}, got {type(x).__name__}")


def as_integer(x: object) -> int | None:
    """``x`` where it is an integer that an operator takes: Python's, numpy's or symbolic, no bool. Else None."""
    if isinstance(x, bool) or not (isinstance(x, int | torch.SymInt) or hasattr(x, "__index__")):
        return None
    if isinstance(x, torch.SymInt):
        return x  # type: ignore[return-value]  # stands for an int in a traced program
    try:
        number = x if isinstance(x, int) else operator.index(x)  # type: ignore[arg-type]
    except TypeError:  # a tensor or array of more than one element, or of floats
        return None
    # a traced program would note the bounds of a symbolic number
    return number if torch.compiler.is_compiling() or -_MOST <= number <= _MOST else None


def check_integer(name: str, x: object, least: int) -> int:
    """``x`` as an integer of at least ``least``.

    Raises:
        TypeError: it is no integer.
        ValueError: it is out of range.
    """
    number = as_integer(x)
    if number is None:
        if isinstance(x, int) and not isinstance(x, bool):
            raise ValueError(f"{name} must be at most {_MOST}, got {x}")
        raise TypeError(f"{name} must be an integer, got {x!r}")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number
