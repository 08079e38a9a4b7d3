"""Checks of model inputs: shapes always, values in eager mode on a CPU, where reading them costs nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops.transforms import is_transforming


def holds_values(x: Tensor) -> bool:
    """Whether ``x`` has values that may decide about shapes and steps: eager mode, real data, no transform."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not is_transforming()
        and type(x) in (Tensor, torch.nn.Parameter)
        and x.device.type != "meta"
    )


def can_read_values(x: Tensor) -> bool:
    """Whether the values of ``x`` may steer Python and cost nothing to read: they are on a CPU."""
    return holds_values(x) and x.device.type == "cpu" and x.numel() > 0


def check_inputs(input_ids: Tensor | None, inputs_embeds: Tensor | None, hidden_size: int, vocab_size: int) -> Tensor:
    """The one of the two inputs that was given, checked.

    Raises:
        ValueError, TypeError: naming the argument, what came and what is possible.
    """
    if (input_ids is None) == (inputs_embeds is None):
        given = "both" if input_ids is not None else "neither"
        raise ValueError(f"give exactly one of input_ids and inputs_embeds, got {given}")
    if input_ids is not None:
        _check_tensor("input_ids", input_ids)
        if input_ids.dim() != 2 or input_ids.shape[1] == 0:
            raise ValueError(f"input_ids must have the shape (batch, tokens >= 1), got {tuple(input_ids.shape)}")
        check_range("input_ids", input_ids, vocab_size, "the vocabulary (vocab_size)")
        return input_ids
    _check_tensor("inputs_embeds", inputs_embeds)
    assert inputs_embeds is not None
    if inputs_embeds.dim() != 3 or inputs_embeds.shape[1] == 0 or inputs_embeds.shape[-1] != hidden_size:
        raise ValueError(
            f"inputs_embeds must have the shape (batch, tokens >= 1, hidden_size = {hidden_size}), "
            f"got {tuple(inputs_embeds.shape)}"
        )
    if not inputs_embeds.is_floating_point():
        raise TypeError(f"inputs_embeds must be of a floating dtype, got {inputs_embeds.dtype}")
    return inputs_embeds


def check_range(name: str, ids: Tensor, size: int, table: str) -> None:
    """Ids must be of a dtype that indexes a table, and rows of one of ``size`` rows."""
    if ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} must be of dtype torch.int64 or torch.int32, got {ids.dtype}")
    if can_read_values(ids):
        low, high = ids.aminmax()
        if low < 0 or high >= size:
            worst = int(low) if low < 0 else int(high)
            raise ValueError(f"{name} must lie within {table}, 0 to {size - 1}, got {worst}")


def _check_tensor(name: str, x: object) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(x).__name__}")


def check_rows(name: str, x: Tensor | None, given: Tensor, *, integer: bool = True) -> None:
    """``x`` must be (batch, tokens) like the input."""
    if x is None:
        return
    _check_tensor(name, x)
    if x.shape != given.shape[:2]:
        raise ValueError(f"{name} must have the shape (batch, tokens) = {tuple(given.shape[:2])}, got {tuple(x.shape)}")
    if integer and (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool):
        raise TypeError(f"{name} must be of an integer dtype, got {x.dtype}")


def check_mask(name: str, mask: Tensor | None, given: Tensor, highest: int) -> None:
    """A mask must be (batch, tokens) and hold whole numbers from 0 to ``highest`` only."""
    check_rows(name, mask, given, integer=False)
    if mask is not None and mask.dtype != torch.bool and can_read_values(mask):
        wrong = (mask < 0) | (mask > highest) | (mask != mask.round() if mask.is_floating_point() else False)
        if wrong.any():
            values = "0 or 1" if highest == 1 else "0 (padding), 1 (local) or 2 (global)"
            raise ValueError(f"{name} must hold {values}, got {mask[wrong][0].item()}")


def check_choices(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> int:
    """The number of choices of a multiple-choice input, (batch, choices, tokens) ids or their embeddings."""
    if (input_ids is None) == (inputs_embeds is None):
        given = "both" if input_ids is not None else "neither"
        raise ValueError(f"give exactly one of input_ids and inputs_embeds, got {given}")
    if input_ids is not None:
        _check_tensor("input_ids", input_ids)
        if input_ids.dim() != 3:
            raise ValueError(f"input_ids must have the shape (batch, choices, tokens), got {tuple(input_ids.shape)}")
        return input_ids.shape[1]
    _check_tensor("inputs_embeds", inputs_embeds)
    assert inputs_embeds is not None
    if inputs_embeds.dim() != 4:
        raise ValueError(
            f"inputs_embeds must have the shape (batch, choices, tokens, hidden size), got {tuple(inputs_embeds.shape)}"
        )
    return inputs_embeds.shape[1]
