"""How a module of somebody else gets another ``forward`` in place, so that nothing but that changes.

The module stays the object that it was, with its weights, hooks and mode; only its class becomes a subclass of the old
one. So its state dict, its saved files and ``isinstance`` are what they were, and going back is setting the class back.
"""

from __future__ import annotations

from types import MethodType
from typing import Any, ClassVar

from torch import nn

_made: dict[tuple[type, type], type[nn.Module]] = {}


class Swapped:
    """Mixin whose ``forward`` goes before that of the class it is put upon.

    Attributes:
        needs: attributes that a module must have to be computed so.
        original: the class that the module had.
        mixin: the subclass of this class that was put upon it.
    """

    needs: ClassVar[tuple[str, ...]]
    original: ClassVar[type[nn.Module]]
    mixin: ClassVar[type[Swapped]]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # the class was made at run time, so copies and pickles name what it was made of
        return _make_empty, (self.mixin, self.original), self.__getstate__()


def swap(module: nn.Module, mixin: type[Swapped]) -> None:
    """Give ``module`` the forward of ``mixin``."""
    _set_class(module, _subclass(mixin, type(module)))


def swap_back(module: Any) -> None:
    """Give a swapped module its own class again."""
    _set_class(module, module.original)


def check_forward(name: str, module: nn.Module) -> None:
    """Refuse a module whose forward somebody has replaced, other than by a hook of ``accelerate`` around it.

    Raises:
        ValueError: naming the module.
    """
    around = vars(module).get("_old_forward")
    if "forward" in vars(module) and getattr(around, "__func__", None) is not type(module).forward:
        raise ValueError(f"{name} has a forward of its own, which would be lost; call speed_up before it is replaced")


def _subclass(mixin: type[Swapped], original: type[nn.Module]) -> type[nn.Module]:
    """The one class made of these two."""
    if (mixin, original) not in _made:
        fields = {"original": original, "mixin": mixin, "__module__": __name__}
        _made[mixin, original] = type(f"Fast{original.__name__}", (mixin, original), fields)
    return _made[mixin, original]


def _set_class(module: Any, cls: type[nn.Module]) -> None:
    module.__class__ = cls
    if "_old_forward" in vars(module):  # what a hook of accelerate calls
        module._old_forward = MethodType(cls.forward, module)


def _make_empty(mixin: type[Swapped], original: type[nn.Module]) -> nn.Module:
    cls = _subclass(mixin, original)
    return cls.__new__(cls)
