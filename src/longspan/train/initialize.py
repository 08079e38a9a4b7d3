"""First weights of the contract model.

A post-norm encoder with learned absolute positions learns slowly from nothing. Three measures help: word vectors from
counts (`vocabulary.embed_words`); positions that begin as sines and cosines whose periods divide the table's, so that
distance is a rotation and the wrap is seamless; blocks that begin as the identity (zero output projections), with heads
that look a fixed distance to the left or right. All of it stays trainable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from longspan.models.longformer import LongformerModel
    from longspan.models.longformer.token_heads import LongformerLMHead

FREQUENCIES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)
"""Cycles in one period of the position table; two dimensions each."""


def circular_positions(period: int) -> Tensor:
    """(period, 2 F) float32: cos and sin of every frequency; row i + period would equal row i."""
    angle = 2 * math.pi * torch.arange(period)[:, None] * torch.tensor(FREQUENCIES)[None, :] / period
    return torch.cat([angle.cos(), angle.sin()], dim=1).float()


@torch.no_grad()
def initialize_encoder(
    encoder: LongformerModel,
    *,
    word_vectors: np.ndarray,
    scale: float = 0.1,
    offsets: Sequence[Sequence[int]],
    seed: int = 0,
) -> None:
    """Set the weights in place.

    Args:
        word_vectors: (V, d - 2 F) float32; the last 2 F dimensions are the positions' own.
        scale: root mean square of an embedding row.
        offsets: per layer, per head, the distance at which a head begins to look; 0 looks by content alone.
    """
    config = encoder.config
    period = config.position_period
    if period is None:
        raise ValueError("encoder must have a position_period, got None")
    d, heads = config.hidden_size, config.num_attention_heads
    reserved = 2 * len(FREQUENCIES)
    size = d // heads
    generator = torch.Generator().manual_seed(seed)
    embeddings = encoder.embeddings
    words = torch.from_numpy(word_vectors)
    words = words / words.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
    embeddings.word_embeddings.weight.normal_(0, 0.02 * scale, generator=generator)
    embeddings.word_embeddings.weight[:, : d - reserved] += scale * words
    embeddings.word_embeddings.weight[1] = 0  # padding
    embeddings.token_type_embeddings.weight.zero_()
    table = embeddings.position_embeddings.weight.zero_()
    positions = circular_positions(period)
    table[2 : 2 + period, d - reserved :] = scale * positions[: len(table) - 2]

    layer: Any
    for layer, looks in zip(encoder.encoder.layer, offsets, strict=True):
        attention = layer.attention.self
        for linear in (attention.query, attention.key):
            linear.weight.normal_(0, 0.5 / math.sqrt(d), generator=generator)
            linear.bias.zero_()
        for head, distance in enumerate(looks):
            if distance:
                rows = slice(head * size, head * size + reserved)
                angle = 2 * math.pi * distance * torch.tensor(FREQUENCIES) / period
                # Far looks need no sharp edge: frequencies beyond one cycle per distance only add noise.
                gain = 1.7 * (torch.tensor(FREQUENCIES) * abs(distance) <= period).float()
                cos, sin = torch.diag(gain * angle.cos()), torch.diag(gain * angle.sin())
                # A query at i, turned by the distance, meets the key at i + distance.
                turn = torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])
                attention.query.weight[rows, d - reserved :] = turn
                attention.key.weight[rows, d - reserved :] = torch.diag(torch.cat([gain, gain]))
        nn.init.orthogonal_(attention.value.weight, generator=generator)
        attention.value.bias.zero_()
        for name in ("query_global", "key_global", "value_global"):
            getattr(attention, name).weight.zero_()
            getattr(attention, name).bias.zero_()
        layer.intermediate.dense.weight.normal_(0, 1 / math.sqrt(d), generator=generator)
        layer.intermediate.dense.bias.zero_()
        for output in (layer.attention.output, layer.output):
            output.dense.weight.zero_()
            output.dense.bias.zero_()


@torch.no_grad()
def initialize_classifier(classifier: nn.Linear, rates: np.ndarray, seed: int = 0) -> None:
    """Small weights; biases at the log odds of `rates` (C,), the share of tokens with each label."""
    classifier.weight.normal_(0, 0.02, generator=torch.Generator().manual_seed(seed))
    classifier.bias.copy_(torch.from_numpy(np.log(rates / (1 - rates))).float())


@torch.no_grad()
def initialize_lm_head(lm_head: LongformerLMHead, counts: np.ndarray) -> None:
    """Guesses begin at the hidden state itself, turned to `counts` (V,), how often each id occurs."""
    nn.init.eye_(lm_head.dense.weight)
    lm_head.dense.bias.zero_()
    odds = (counts + 1) / (counts + 1).sum()
    lm_head.bias.copy_(torch.from_numpy(np.log(odds)).float())
