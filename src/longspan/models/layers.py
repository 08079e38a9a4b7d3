"""The parts of a transformer layer that both families share, under the parameter names of their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from ..ops.linear import linear as fused_linear
from ..ops.transforms import is_transforming
from .checks import holds_values

_GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu_fast": "tanh"}


def is_plain(module: nn.Module) -> bool:
    """Whether the module is a linear layer, an embedding or a convolution: its weight and bias and nothing else.

    It is not with an adapter, a hook, or a weight that is quantised or sharded.
    """
    return (
        type(module) in (nn.Linear, nn.Embedding, nn.Conv2d)
        and not _is_heard(module)
        and "forward" not in vars(module)
        and not hasattr(type(module.weight), "__tensor_flatten__")
    )


def may_overwrite(module: nn.Module) -> bool:
    """Whether the output of ``module`` is nobody else's: no graph keeps it, no hook saw it, it is no slice of more.

    Working in place saves a large tensor and its page faults, 4 to 6 % of a layer on a CPU.
    """
    return not torch.is_grad_enabled() and not is_transforming() and is_plain(module)


def linear(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)``, faster where the module is a plain linear layer."""
    if isinstance(module, nn.Linear) and is_plain(module):
        return fused_linear(x, module.weight, module.bias)
    return module(x)


def add(x: Tensor, y: Tensor, overwrite: bool) -> Tensor:
    """``x + y``, over ``x`` where that is allowed and changes no dtype."""
    return x.add_(y) if overwrite and x.dtype == y.dtype else x + y


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody listens to a part of ``module``, and expects to see the batch as it came."""
    return _has_any_global_hook() or any(_has_own_hook(part) for part in module.modules() if part is not module)


def _is_heard(module: nn.Module) -> bool:
    """Whether ``module``, or every module, has a hook."""
    return _has_any_global_hook() or _has_own_hook(module)


def _has_own_hook(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def is_private(module: nn.Module) -> bool:
    """Whether nobody sees what happens inside ``module``: no graph keeps it, no hook hears of it, nothing traces it."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transforming():
        return False
    return not has_hooks(module) and not any("forward" in vars(part) for part in module.modules())


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
    """``LayerNorm(dropout(W x) + residual)``: what ends both halves of a layer (post-norm).

    With ``norm_first``, as in a causal model, the norm stands in front of the half (pre-norm): :meth:`before` has it.
    """

    def __init__(self, config: Any, input_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(input_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.norm_first = getattr(config, "causal", False)

    def before(self, hidden_states: Tensor) -> Tensor:
        """What the half reads, (..., d)."""
        return self.LayerNorm(hidden_states) if self.norm_first else hidden_states

    def forward(self, hidden_states: Tensor, residual: Tensor) -> Tensor:
        """(..., input_size) and (..., d) to (..., d)."""
        hidden_states = self.dropout(linear(self.dense, hidden_states))
        overwrite = may_overwrite(self.dense) and not _is_heard(self.dropout)
        hidden_states = add(hidden_states, residual, overwrite)
        return hidden_states if self.norm_first else self.LayerNorm(hidden_states)


class Intermediate(nn.Module):
    """The widening half of the feed-forward, ``act(W x)``."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)
        self.gelu = _GELU.get(config.hidden_act) if isinstance(config.hidden_act, str) else None

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., d) to (..., intermediate_size)."""
        # not in training, where a checkpoint is first computed without a graph: its last bit has to be the same then
        if self.gelu is not None and not self.training and may_overwrite(self.dense):
            return fused_linear(hidden_states, self.dense.weight, self.dense.bias, self.gelu)
        return self.activation(linear(self.dense, hidden_states))


class StreamingAttention(nn.Module):
    """A self-attention that can read long input in pieces, in inference."""

    no_maps: tuple[None, ...]
    """What stands for the maps that nobody asked for."""

    def streams(self, hidden_states: Tensor, *args: Any) -> bool:
        """Whether this input is better read in pieces; the arguments are those of ``forward``."""
        raise NotImplementedError

    def stream(self, hidden_states: Tensor, result: Tensor, *args: Any) -> Iterator[tuple[slice, Tensor]]:
        """Pieces of the flat row of T = B * N tokens, in order and without a gap, and their context (S, d).

        ``result`` (B, N, d) is the layer's output, written piece by piece; rows that were not yielded yet are free for
        notes.
        """
        raise NotImplementedError


class AttentionBlock(nn.Module):
    """Self-attention with its output projection."""

    def __init__(self, config: Any, self_attention: nn.Module) -> None:
        super().__init__()
        self.self = self_attention
        self.output = ResidualOutput(config, config.hidden_size)


class TransformerLayer(GradientCheckpointingLayer):
    """A layer around any self-attention: post-norm, or pre-norm where both its outputs have ``norm_first``.

    The self-attention is a module that takes the hidden states (B, N, d) and whatever else the layer is given, and
    returns the context (B, N, d) followed by the maps it was asked for. It may also offer to read long input in
    pieces (:class:`StreamingAttention`).
    """

    def __init__(self, config: Any, self_attention: nn.Module) -> None:
        super().__init__()
        self.attention = AttentionBlock(config, self_attention)
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size)
        self.chunk_size_feed_forward = config.chunk_size_feed_forward

    def forward(self, hidden_states: Tensor, *args: Any, spare: Tensor | None = None) -> tuple[Any, ...]:
        """Hidden states (B, N, d), then the maps of the self-attention.

        ``spare`` may be a tensor of the shape of ``hidden_states``: the result can be written over it.
        """
        attention = self.attention.self
        # streams() asks for the length, which would bind a traced program to one side of a threshold: it comes last
        if (
            isinstance(attention, StreamingAttention)
            and self._may_stream(hidden_states)
            and attention.streams(hidden_states, *args)
        ):
            return self._stream(attention, hidden_states, spare, *args), *attention.no_maps
        context, *maps = attention(self.attention.output.before(hidden_states), *args)
        hidden_states = self.attention.output(context, hidden_states)
        if self.chunk_size_feed_forward:  # any length: the last chunk may be shorter
            chunks = hidden_states.split(self.chunk_size_feed_forward, dim=1)
            hidden_states = torch.cat([self._feed_forward(chunk) for chunk in chunks], dim=1)
        else:
            hidden_states = self._feed_forward(hidden_states)
        return hidden_states, *maps

    def _may_stream(self, hidden_states: Tensor) -> bool:
        """Whether nobody can tell: no graph, no dropout, no hook that expects whole tensors, no mere shapes."""
        return not self.training and holds_values(hidden_states) and is_private(self)

    def _stream(self, attention: StreamingAttention, hidden_states: Tensor, spare: Tensor | None, *args: Any) -> Tensor:
        """Attention and feed-forward piece by piece: the extra memory is the result and what a piece needs."""
        result = spare
        if result is None:
            result = torch.empty_like(hidden_states, memory_format=torch.contiguous_format)
        flat_input, flat_result = hidden_states.flatten(0, 1), result.flatten(0, 1)
        for rows, context in attention.stream(self.attention.output.before(hidden_states), result, *args):
            flat_result[rows] = self._feed_forward(self.attention.output(context, flat_input[rows]))
        return result

    def _feed_forward(self, hidden_states: Tensor) -> Tensor:
        return self.output(self.intermediate(self.output.before(hidden_states)), hidden_states)
