"""The self-attention of ``transformers``' Nyströmformer, computed by the Nyström operation."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...ops.nystrom import attention_map, nystrom_attention
from ..layers import is_plain, linear
from .swapped import Swapped


class FastNystromAttention(Swapped):
    """Nyström or exact attention of one layer, under the calling convention of ``transformers``."""

    needs: ClassVar[tuple[str, ...]] = (
        "query",
        "key",
        "value",
        "num_attention_heads",
        "num_landmarks",
        "seq_len",
        "conv_kernel_size",
        "init_option",
    )
    query: nn.Module
    key: nn.Module
    value: nn.Module
    conv: Any
    num_attention_heads: int
    num_landmarks: int
    seq_len: int
    conv_kernel_size: int | None
    init_option: str

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, output_attentions: bool = False
    ) -> tuple[Tensor, ...]:
        """Context (B, N, d); with ``output_attentions`` also the map (B, H, N, N) or the product of the two factors
        that stand before the values, (B, H, N, m).

        Args:
            hidden_states: (B, N, d), N of any size.
            attention_mask: (B, 1, N, N) additive or bool, from a padding mask, or None. Another kind goes to the
                original forward.
            output_attentions: also return the map or product.
        """
        valid = None
        if attention_mask is not None:
            valid = _valid_tokens(attention_mask, len(hidden_states))
            if valid is None:
                return super().forward(hidden_states, attention_mask, output_attentions)  # type: ignore[misc]
        query, key, value = (
            linear(p, hidden_states).unflatten(-1, (self.num_attention_heads, -1))
            for p in (self.query, self.key, self.value)
        )
        softmax = self.num_landmarks == self.seq_len
        conv = None if self.conv_kernel_size is None else self.conv
        kernel = conv.weight.flatten(1) if conv is not None and is_plain(conv) else None
        result = nystrom_attention(
            query,
            key,
            value,
            # a document of at most this many tokens has exact softmax attention
            hidden_states.shape[1] if softmax else self.num_landmarks,
            segment_ids=valid,
            conv_weight=kernel,
            exact_inverse_scale=self.init_option != "original",
            return_factors=output_attentions and not softmax,
        )
        context, factors = result if isinstance(result, tuple) else (result, None)
        if conv is not None and kernel is None:
            inside = value if valid is None else value.masked_fill(~valid[:, :, None, None], 0)
            context = context + conv(inside.transpose(1, 2)).transpose(1, 2)
        context = context.flatten(2)
        if not output_attentions:
            return (context,)
        if factors is None:
            return context, attention_map(query, key, valid)
        wide = factors.inverse.dtype
        return context, (factors.kernel_1.to(wide) @ factors.inverse).to(context.dtype)


def _valid_tokens(mask: Tensor, batch: int) -> Tensor | None:
    """The tokens (B, N) bool that a padding mask (B, 1, N, N) leaves visible; None for a mask of another kind."""
    rows = mask[:, :, [0, -1]]
    seen = rows if rows.dtype == torch.bool else rows == 0
    if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
        hidden = ~seen if rows.dtype == torch.bool else rows <= torch.finfo(rows.dtype).min / 2
        if mask.shape[1] != 1 or not torch.equal(seen[:, :, 0], seen[:, :, 1]) or not bool((seen | hidden).all()):
            return None
    return seen[:, 0, 0].expand(batch, -1)
