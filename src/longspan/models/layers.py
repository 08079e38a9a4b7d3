"""The parts of a transformer layer that both families share, under the parameter names of their checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

_GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu_fast": "tanh"}


def is_plain(module: nn.Module) -> bool:
    """Whether the module is a linear layer: its weight and bias and nothing else.

    It is not with an adapter, a hook, or a weight that is quantised or sharded.
    """
    return (
        type(module) is nn.Linear
        and not module._forward_hooks
        and not module._forward_pre_hooks
        and not module._backward_hooks
        and not module._backward_pre_hooks
        and "forward" not in vars(module)
        and not hasattr(type(module.weight), "__tensor_flatten__")
    )


def may_overwrite(module: nn.Module) -> bool:
    """Whether the output of ``module`` is nobody else's: no graph keeps it and no hook has seen it.

    Working in place saves a large tensor and its page faults, 4 to 6 % of a layer on a CPU.
    """
    return not torch.is_grad_enabled() and is_plain(module)


def activation(name: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The activation of a configuration; the tanh form of GELU in one fused step instead of eight."""
    if callable(name):
        return name
    if name in _GELU:
        return partial(F.gelu, approximate=_GELU[name])
    if name not in ACT2FN:
        raise ValueError(f"hidden_act must be one of {', '.join(sorted(ACT2FN))}, got {name!r}")
    return ACT2FN[name]


class ResidualOutput(nn.Module):
    """``LayerNorm(dropout(W x) + residual)``: what ends both halves of a layer (post-norm)."""

    def __init__(self, config: Any, input_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(input_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor, residual: Tensor) -> Tensor:
        """(..., input_size) and (..., d) to (..., d)."""
        hidden_states = self.dropout(self.dense(hidden_states))
        if may_overwrite(self.dense) and hidden_states.dtype == residual.dtype:
            hidden_states += residual
        else:
            hidden_states = hidden_states + residual
        return self.LayerNorm(hidden_states)


class Intermediate(nn.Module):
    """The widening half of the feed-forward, ``act(W x)``."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)
        self.gelu = _GELU.get(config.hidden_act) if isinstance(config.hidden_act, str) else None

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., d) to (..., intermediate_size)."""
        hidden_states = self.dense(hidden_states)
        if self.gelu is not None and may_overwrite(self.dense):
            return torch.ops.aten.gelu_(hidden_states, approximate=self.gelu)
        return self.activation(hidden_states)


class AttentionBlock(nn.Module):
    """Self-attention with its output projection."""

    def __init__(self, config: Any, self_attention: nn.Module) -> None:
        super().__init__()
        self.self = self_attention
        self.output = ResidualOutput(config, config.hidden_size)


class TransformerLayer(GradientCheckpointingLayer):
    """A post-norm encoder layer around any self-attention.

    The self-attention is a module that takes the hidden states (B, N, d) and whatever else the layer is given, and
    returns the context (B, N, d) followed by the maps it was asked for.
    """

    def __init__(self, config: Any, self_attention: nn.Module) -> None:
        super().__init__()
        self.attention = AttentionBlock(config, self_attention)
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size)
        self.chunk_size_feed_forward = config.chunk_size_feed_forward

    def forward(self, hidden_states: Tensor, *args: Any) -> tuple[Any, ...]:
        """Hidden states (B, N, d), then the maps of the self-attention."""
        context, *maps = self.attention.self(hidden_states, *args)
        hidden_states = self.attention.output(context, hidden_states)
        if self.chunk_size_feed_forward:  # any length: the last chunk may be shorter
            chunks = hidden_states.split(self.chunk_size_feed_forward, dim=1)
            hidden_states = torch.cat([self._feed_forward(chunk) for chunk in chunks], dim=1)
        else:
            hidden_states = self._feed_forward(hidden_states)
        return hidden_states, *maps

    def _feed_forward(self, hidden_states: Tensor) -> Tensor:
        return self.output(self.intermediate(hidden_states), hidden_states)
