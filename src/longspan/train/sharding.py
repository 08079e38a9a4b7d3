"""Weights and optimizer of a sharded model (FSDP2) as whole tensors by name, which any number of processes reads.

Every process takes part in gathering; the first one gets the tensors, on the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.utils._pytree import tree_map

OPTIMIZER = "optimizer_by_name.pt"

_GATHER = StateDictOptions(full_state_dict=True, cpu_offload=True)
# weights that are tied are saved once
_DEAL_OUT = StateDictOptions(full_state_dict=True, strict=False)


def gather_weights(model: Any) -> dict[str, Any]:
    """The weights by name; empty on all processes but the first."""
    return _wait(get_model_state_dict(model, options=_GATHER))


def save_optimizer(model: Any, optimizer: Any, folder: Path, first: bool) -> None:
    """Write the optimizer's state; ``first`` on the process that writes."""
    state = _wait(get_optimizer_state_dict(model, optimizer, options=_GATHER))
    if first:
        torch.save(state, folder / OPTIMIZER)


def load_weights(model: Any, folder: Path) -> None:
    """Put the weights of a checkpoint into a sharded model."""
    state: dict[str, Any] = {**load_file(folder / "model.safetensors")}
    set_model_state_dict(model, state, options=_DEAL_OUT)


def load_optimizer(model: Any, optimizer: Any, folder: Path) -> None:
    """Put the optimizer's state of a checkpoint into an optimizer, sharded or not."""
    state = torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True)
    set_optimizer_state_dict(model, optimizer, state, options=StateDictOptions(full_state_dict=True))


def _wait(state: dict[str, Any]) -> dict[str, Any]:
    """The same with tensors that have arrived: on CPUs what was gathered may still be a promise, without storage."""
    from torch.distributed._functional_collectives import AsyncCollectiveTensor

    found: dict[str, Any] = tree_map(lambda x: x.wait() if isinstance(x, AsyncCollectiveTensor) else x, state)
    return found
