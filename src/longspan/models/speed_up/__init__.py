"""Longspan's attention inside a model of ``transformers`` that is already loaded."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from ..layers import StreamingAttention
from .nystrom import FastNystromAttention
from .padding import pad_again, stop_padding
from .swapped import Swapped, check_forward, swap, swap_back
from .window import FastWindowAttention

__all__ = ["speed_up", "undo_speed_up"]

_MIXINS: dict[str, type[Swapped]] = {
    "LongformerSelfAttention": FastWindowAttention,
    "LEDEncoderSelfAttention": FastWindowAttention,
    "NystromformerSelfAttention": FastNystromAttention,
}

ModelT = TypeVar("ModelT", bound=nn.Module)


def speed_up(model: ModelT) -> ModelT:
    """Let a ``transformers`` Longformer, LED encoder or Nyströmformer compute its attention by longspan's operations.

    The model stays the object that it is, with its weights, hooks, optimiser and files: only the class of each
    self-attention becomes a subclass of itself, and a Longformer or LED encoder no longer pads its input to the window.
    Outputs are the same to 1e-5 where the original is right, in training too. A second call changes nothing, nor does
    one with a model of longspan's.

    Args:
        model: a model that holds such a self-attention anywhere, recognised by its class name: a task head, a model
            wrapped by ``peft`` or for distributed training.

    Returns:
        ``model`` itself.

    Raises:
        TypeError: ``model`` is no module.
        ValueError: it holds no such self-attention, or one whose forward was replaced; nothing is changed then.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    found = {name: module for name, module in model.named_modules() if _mixin(module) is not None}
    if not found and not any(isinstance(module, Swapped | StreamingAttention) for module in model.modules()):
        raise ValueError(
            f"model must hold the self-attention of a Longformer, LED encoder or Nyströmformer of transformers "
            f"({', '.join(_MIXINS)}), got {type(model).__name__} without one"
        )
    for name, module in found.items():
        check_forward(name, module)
    for module in found.values():
        mixin = _mixin(module)
        assert mixin is not None
        swap(module, mixin)
    for module in model.modules():
        stop_padding(module)
    return model


def undo_speed_up(model: ModelT) -> ModelT:
    """Undo :func:`speed_up`: every class and method is again what it was; a model without any change stays as it is.

    Returns:
        ``model`` itself.

    Raises:
        TypeError: ``model`` is no module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for module in model.modules():
        pad_again(module)
        if isinstance(module, Swapped):
            swap_back(module)
    return model


def _mixin(module: nn.Module) -> type[Swapped] | None:
    mixin = _MIXINS.get(type(module).__name__)
    return mixin if mixin is not None and all(hasattr(module, name) for name in mixin.needs) else None
