"""The self-attention of ``transformers``' Longformer and LED encoder, computed by the window operation."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...ops.window import attention_maps, sliding_window_attention
from ..checks import can_read_values
from ..layers import linear
from ..longformer.attention import project_globals
from .swapped import Swapped


class FastWindowAttention(Swapped):
    """Window and global attention of one layer, under the calling convention of ``transformers``."""

    needs: ClassVar[tuple[str, ...]] = (
        "query",
        "key",
        "value",
        "query_global",
        "key_global",
        "value_global",
        "num_heads",
        "dropout",
        "one_sided_attn_window_size",
    )
    query: nn.Module
    key: nn.Module
    value: nn.Module
    query_global: nn.Module
    key_global: nn.Module
    value_global: nn.Module
    num_heads: int
    dropout: float
    one_sided_attn_window_size: int
    training: bool

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        is_index_masked: Tensor | None = None,
        is_index_global_attn: Tensor | None = None,
        is_global_attn: bool | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, ...]:
        """Context (B, N, d); with ``output_attentions`` the maps (B, N, H, x + w + 1) and, with globals, (B, H, x, N).

        Args:
            hidden_states: (B, N, d), N of any size.
            attention_mask: (B, N) float, read only through the two masks that ``transformers`` makes of it.
            is_index_masked: (B, N) bool, True at padding.
            is_index_global_attn: (B, N) bool, True at global tokens.
            is_global_attn: whether there is one.
            output_attentions: also return the maps, before dropout.
        """
        query, key, value = (self._heads(linear(p, hidden_states)) for p in (self.query, self.key, self.value))
        global_mask, projections = None, None
        if is_global_attn:
            global_mask = is_index_global_attn
            modules = (self.query_global, self.key_global, self.value_global)
            projections = project_globals(hidden_states, modules, self.num_heads)
        segment_ids = None
        if is_index_masked is not None and not (can_read_values(is_index_masked) and not is_index_masked.any()):
            segment_ids = -is_index_masked.to(torch.int64)
        window = (self.one_sided_attn_window_size,) * 2
        seen: dict[str, Any] = {"segment_ids": segment_ids, "global_mask": global_mask}
        dropout = self.dropout if self.training else 0.0
        context = sliding_window_attention(
            query, key, value, window, **seen, global_projections=projections, dropout_p=dropout
        )
        if not output_attentions:
            return (context.flatten(2),)
        if is_global_attn:
            seen["global_query"] = self._heads(self.query_global(hidden_states))
            seen["global_key"] = self._heads(self.key_global(hidden_states))
        local, rows = attention_maps(query, key, window, **seen)
        maps = (local.transpose(1, 2),) if rows is None else (local.transpose(1, 2), rows.transpose(2, 3))
        return (context.flatten(2), *maps)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1))
