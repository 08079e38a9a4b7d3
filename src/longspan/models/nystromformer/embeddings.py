"""Word, position and token-type embeddings of Nyströmformer, and the position rule of its checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..checks import can_read_values, check_range
from ..layers import add, may_overwrite
from .configuration import NystromformerConfig

# the rows of the position table before a document's first token
_RESERVED = 2


class NystromformerEmbeddings(nn.Module):
    """``dropout(LayerNorm(word + type + position))``."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings + _RESERVED, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.config = config

    def forward(
        self,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        segments: Tensor | None,
    ) -> Tensor:
        """Embeddings (B, N, d) of ``input_ids`` (B, N) or ``inputs_embeds`` (B, N, d).

        ``segments`` (B, N) as in :func:`longspan.ops.nystrom_attention`: positions count from each document's first
        valid token.
        """
        own = inputs_embeds is None and may_overwrite(self.word_embeddings)
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        if position_ids is None:
            position_ids = self._positions(inputs_embeds, segments)
        else:
            rows = self.config.max_position_embeddings + _RESERVED
            check_range("position_ids", position_ids, rows, "the position table")
        if token_type_ids is None:
            # a call and no read of the weight, so that hooks that fetch offloaded weights run
            first = torch.zeros(1, dtype=torch.int64, device=inputs_embeds.device)
            embeddings = add(inputs_embeds, self.token_type_embeddings(first), own)
        else:
            check_range("token_type_ids", token_type_ids, self.config.type_vocab_size, "type_vocab_size")
            embeddings = add(inputs_embeds, self.token_type_embeddings(token_type_ids), own)
        embeddings = add(embeddings, self.position_embeddings(position_ids), own)
        return self.dropout(self.LayerNorm(embeddings))

    def _positions(self, given: Tensor, segments: Tensor | None) -> Tensor:
        """Position ids (B, N) or (1, N): the distance to the document's first valid token, + 2."""
        period = self.config.position_period
        if segments is None:
            place = torch.arange(given.shape[1], device=given.device).unsqueeze(0)
        else:
            place = place_in_document(segments)
        if period is not None:
            place = place % period
        elif can_read_values(place):
            self._check_length(int(place.max()) + 1)
        return place + _RESERVED

    def _check_length(self, length: int) -> None:
        limit = self.config.max_position_embeddings
        if length > limit:
            raise ValueError(
                f"the input has {length} tokens, but the model has positions for {limit} (max_position_embeddings); "
                "shorten the input, use a model with more positions, or set position_period"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # checkpoints of old versions of transformers hold these constants
        for name in ("position_ids", "token_type_ids"):
            state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *args)


def place_in_document(segments: Tensor) -> Tensor:
    """Columns between each token and the first token of its document, (B, N) int64; 0 at padding. Traceable.

    A masked token inside a document keeps its place. ``segments`` (B, N) as in
    :func:`longspan.ops.nystrom_attention`; ids may be in any order.
    """
    column = torch.arange(segments.shape[1], device=segments.device).expand_as(segments)
    if segments.dtype == torch.bool:
        first = segments.to(torch.int64).argmax(1, keepdim=True)
        return (column - first).masked_fill(~segments, 0)
    ids, order = torch.sort(segments, dim=1, stable=True)
    # roll instead of slices of length N - 1, which would bar export from short inputs
    starts = (ids != ids.roll(1, 1)) | (column == 0)
    latest_start = column.masked_fill(~starts, 0).cummax(1).values
    first = order.gather(1, latest_start)
    return torch.zeros_like(order).scatter(1, order, order - first).masked_fill(segments < 0, 0)
