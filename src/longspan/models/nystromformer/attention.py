"""Nyströmformer's self-attention: projections around Nyström or exact attention, and the convolution."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...ops.nystrom import NystromFactors, attention_map, nystrom_attention
from ...ops.nystrom.stream import NystromStream
from ...ops.pieces import piece_size
from ..layers import StreamingAttention, is_plain, linear
from .configuration import NystromformerConfig

# names of attn_implementation, and the backend of the operation that each one means
BACKENDS = {"eager": "reference", "sdpa": "sdpa"}

# tokens of a piece on a CPU: fewer read the weights too often, more fall out of a cache of 32 MiB
PIECE = 2048
# shorter input is read at once
LEAST_PIECES = 2


class Visibility(NamedTuple):
    """Who sees whom, the same for all layers. A tuple, so that layers on several devices each get it on their own.

    Attributes:
        segments: (B, N), as ``nystrom_attention`` takes it: bool where each row is one document, int64 ids with -1 at
            padding where rows may hold several, None where each row is one document without padding.
        ids: (B, N) int64 with -1 at padding, or None.
    """

    segments: Tensor | None
    ids: Tensor | None


class HeadConvolution(nn.Conv2d):
    """Holds the depthwise convolution's kernel; the operation convolves, since it knows where documents end."""

    def __init__(self, heads: int, size: int) -> None:
        super().__init__(heads, heads, (size, 1), padding=(size // 2, 0), bias=False, groups=heads)

    def forward(self) -> Tensor:  # type: ignore[override]
        """The kernel, (H, k). A call, so that hooks that fetch offloaded weights run."""
        # without a graph, a view of a parameter would still say that it needs one
        weight = self.weight if torch.is_grad_enabled() else self.weight.detach()
        return weight.flatten(1)


class NystromformerSelfAttention(StreamingAttention):
    """Attention of one layer (Nyströmformer, section 3)."""

    no_maps = (None,)

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.conv = None
        if config.conv_kernel_size is not None:
            self.conv = HeadConvolution(config.num_attention_heads, config.conv_kernel_size)
        self.num_heads = config.num_attention_heads
        self.config = config

    def forward(
        self, hidden_states: Tensor, visibility: Visibility, output_attentions: bool
    ) -> tuple[Tensor, NystromFactors | Tensor | None]:
        """Context (B, N, d), and with ``output_attentions`` the factors, or the map of softmax attention."""
        query, key, value = (self._heads(linear(p, hidden_states)) for p in (self.query, self.key, self.value))
        softmax = self.config.uses_softmax
        result = nystrom_attention(
            query,
            key,
            value,
            # a document of at most this many tokens has exact softmax attention
            hidden_states.shape[1] if softmax else self.config.num_landmarks,
            segment_ids=visibility.segments,
            conv_weight=None if self.conv is None else self.conv(),
            exact_inverse_scale=self.config.inv_coeff_init_option,
            return_factors=output_attentions and not softmax,
            backend=self._backend(),
        )
        context, factors = result if isinstance(result, tuple) else (result, None)
        maps = attention_map(query, key, visibility.ids) if output_attentions and softmax else factors
        return context.flatten(2), maps

    def streams(self, hidden_states: Tensor, visibility: Visibility, output_attentions: bool) -> bool:
        batch, length, _ = hidden_states.shape
        return (
            not output_attentions
            and not self.config.uses_softmax  # every query would need every key
            and self._backend() == "sdpa"
            and batch * length >= LEAST_PIECES * piece_size(hidden_states.device, PIECE)
            # landmarks are projections of means, which is only the same for an affine map
            and all(is_plain(module) for module in (self.query, self.key, self.value))
        )

    def stream(
        self, hidden_states: Tensor, result: Tensor, visibility: Visibility, output_attentions: bool
    ) -> Iterator[tuple[slice, Tensor]]:
        yield from NystromStream(
            hidden_states,
            result,
            query=partial(linear, self.query),
            key=partial(linear, self.key),
            value=partial(linear, self.value),
            num_heads=self.num_heads,
            num_landmarks=self.config.num_landmarks,
            segment_ids=visibility.segments,
            conv_weight=None if self.conv is None else self.conv(),
            exact_inverse_scale=self.config.inv_coeff_init_option,
            piece=piece_size(hidden_states.device, PIECE),
        )

    def _backend(self) -> str:
        return BACKENDS[self.config._attn_implementation or "sdpa"]

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1))
