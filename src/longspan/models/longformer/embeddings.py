"""Word, position and token-type embeddings of Longformer, and the position rule of its checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..checks import can_read_values, check_range
from ..layers import add, may_overwrite
from ..segments import rank_in_segment
from .configuration import LongformerConfig


class LongformerEmbeddings(nn.Module):
    """``dropout(LayerNorm(word + position + type))``."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        size, padding = config.hidden_size, config.pad_token_id
        self.word_embeddings = nn.Embedding(config.vocab_size, size, padding_idx=padding)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size, padding_idx=padding)
        self.config = config

    def forward(
        self,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        segment_ids: Tensor | None,
    ) -> Tensor:
        """Embeddings (B, N, d) of ``input_ids`` (B, N) or ``inputs_embeds`` (B, N, d).

        ``segment_ids`` (B, N), as the caller gave them: positions restart in each segment.
        """
        if position_ids is None:
            position_ids = self._positions(input_ids, inputs_embeds, segment_ids)
        else:
            check_range("position_ids", position_ids, self.config.max_position_embeddings, "the positions")
        own = inputs_embeds is None and may_overwrite(self.word_embeddings)
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        embeddings = add(inputs_embeds, self.position_embeddings(position_ids), own)
        if token_type_ids is None:
            # one row for all; the module is called, since its weight alone may be elsewhere (offloading)
            first = torch.zeros(1, dtype=torch.int64, device=embeddings.device)
            embeddings = add(embeddings, self.token_type_embeddings(first), own)
        else:
            check_range("token_type_ids", token_type_ids, self.config.type_vocab_size, "type_vocab_size")
            embeddings = add(embeddings, self.token_type_embeddings(token_type_ids), own)
        return self.dropout(self.LayerNorm(embeddings))

    def _positions(self, input_ids: Tensor | None, inputs_embeds: Tensor | None, segment_ids: Tensor | None) -> Tensor:
        """Position ids (B, N): the count of ids other than padding, or the column where there are no ids."""
        offset, period = self.config.position_offset, self.config.position_period
        if input_ids is not None:
            counted = (
                torch.ones_like(input_ids, dtype=torch.bool)
                if self.config.pad_token_id is None
                else input_ids != self.config.pad_token_id
            )
        else:
            assert inputs_embeds is not None
            counted = torch.ones(inputs_embeds.shape[:2], dtype=torch.bool, device=inputs_embeds.device)
            # an exported program with an open length shall not be bound by it; its embedding refuses what is too long
            if segment_ids is None and not torch.compiler.is_exporting():
                self._check_length(inputs_embeds.shape[1])
        if segment_ids is not None:
            counted = counted & (segment_ids >= 0)
        rank = rank_in_segment(counted, segment_ids)
        if period is not None:
            rank = (rank - 1) % period + 1
        elif can_read_values(rank):
            self._check_length(int(rank.max()))
        return torch.where(counted, rank + (offset - 1), offset - 1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # checkpoints of old versions of transformers hold this constant
        state_dict.pop(prefix + "position_ids", None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_length(self, length: int) -> None:
        limit = self.config.max_position_embeddings - self.config.position_offset
        if self.config.position_period is None and length > limit:
            raise ValueError(
                f"the input has {length} tokens, but the model has positions for {limit} "
                f"(max_position_embeddings {self.config.max_position_embeddings}, "
                f"{self.config.position_offset} of them reserved); shorten the input, use a model with more positions, "
                "or set position_period"
            )
