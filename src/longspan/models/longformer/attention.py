"""Longformer's self-attention: projections around the window operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from ...ops.pieces import piece_size
from ...ops.window import GlobalProjections, GlobalStates, attention_maps, sliding_window_attention
from ...ops.window.stream import WindowStream
from ..layers import StreamingAttention, is_plain, linear
from .configuration import LongformerConfig

# names of attn_implementation, and the backend of the operation that each one means
BACKENDS = {
    "eager": "reference",
    "sdpa": "sdpa",
    "cpp": "cpp",
    "flex_attention": "flex_attention",
    "flash_varlen": "flash_varlen",
}
# of these, what reads long input in pieces, and what computes the window then
_KERNELS = {"sdpa": "aten", "cpp": "cpp"}

# tokens of a piece on a CPU: its queries, context and feed-forward at base size then stay in a cache of 32 MiB
PIECE = 1024
# shorter input is read at once
LEAST_PIECES = 2


class Visibility(NamedTuple):
    """Who sees whom, the same for all layers. A tuple, so that layers on several devices each get it on their own.

    Attributes:
        segment_ids: (B, N) int64, -1 at padding, or None without padding and segments.
        global_mask: (B, N) bool, or None without global tokens.
    """

    segment_ids: Tensor | None
    global_mask: Tensor | None


class LongformerSelfAttention(StreamingAttention):
    """Window and global attention of one layer (Longformer, section 3.1)."""

    no_maps = (None, None)

    def __init__(self, config: LongformerConfig, layer: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.query_global = nn.Linear(size, size)
        self.key_global = nn.Linear(size, size)
        self.value_global = nn.Linear(size, size)
        self.num_heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.window_size = (config.windows[layer] // 2,) * 2
        self.config = config

    def forward(
        self, hidden_states: Tensor, visibility: Visibility, output_attentions: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Context (B, N, d), and with ``output_attentions`` the maps of this layer."""
        query, key, value = (self._heads(linear(p, hidden_states)) for p in (self.query, self.key, self.value))
        projections = self._global_projections(hidden_states)
        context = sliding_window_attention(
            query,
            key,
            value,
            self.window_size,
            segment_ids=visibility.segment_ids,
            global_mask=visibility.global_mask,
            global_projections=projections,
            dropout_p=self.dropout if self.training else 0.0,
            backend=self._backend(),
        )
        maps: tuple[Tensor | None, Tensor | None] = (None, None)
        if output_attentions:
            maps = attention_maps(
                query,
                key,
                self.window_size,
                segment_ids=visibility.segment_ids,
                global_mask=visibility.global_mask,
                global_query=self._heads(self.query_global(hidden_states)),
                global_key=self._heads(self.key_global(hidden_states)),
            )
        return context.flatten(2), *maps

    def streams(self, hidden_states: Tensor, visibility: Visibility, output_attentions: bool) -> bool:
        batch, length, _ = hidden_states.shape
        return (
            not output_attentions
            and self._backend() in _KERNELS
            and batch * length >= LEAST_PIECES * piece_size(hidden_states.device, PIECE)
            and length > sum(self.window_size) + 1
            and all(is_plain(module) for module in (self.query_global, self.key_global, self.value_global))
        )

    def stream(
        self, hidden_states: Tensor, result: Tensor, visibility: Visibility, output_attentions: bool
    ) -> Iterator[tuple[slice, Tensor]]:
        flat = hidden_states.flatten(0, 1)
        batch, length, size = hidden_states.shape
        scale = (size // self.num_heads) ** -0.5
        kernel = _KERNELS[self._backend()]
        piece = piece_size(flat.device, PIECE)
        window = WindowStream((batch, length), self.window_size, *visibility, scale, piece, flat.device, kernel)
        if window.global_positions is not None:
            globals_ = flat[window.global_positions]
            key, value = (self._heads(linear(p, globals_)) for p in (self.key, self.value))
            projections = self._global_projections(hidden_states)
            assert isinstance(projections, GlobalProjections)  # streams() saw to it
            window.set_globals(key, value, projections)
        for rows, fresh in window.steps():
            query = self._heads(linear(self.query, flat[rows]))
            key, value = (self._heads(linear(p, flat[fresh])) for p in (self.key, self.value))
            yield rows, window.attend(rows, query, key, value).flatten(1)

    def _backend(self) -> str:
        return BACKENDS[self.config._attn_implementation or "sdpa"]

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1))

    def _global_projections(self, hidden_states: Tensor) -> GlobalProjections | GlobalStates:
        modules = (self.query_global, self.key_global, self.value_global)
        return project_globals(hidden_states, modules, self.num_heads)


def project_globals(
    hidden_states: Tensor, modules: tuple[Any, Any, Any], num_heads: int
) -> GlobalProjections | GlobalStates:
    """The global query, key and value layers of ``modules`` as the operation takes them."""
    if all(is_plain(module) for module in modules):
        weights = [x for module in modules for x in (module.weight, module.bias)]
        return GlobalProjections(hidden_states, *weights)
    # adapters, quantised layers and offloaded weights are only right when the module itself is called
    return GlobalStates(*(module(hidden_states).unflatten(-1, (num_heads, -1)) for module in modules))
