"""First weights of a model that trains from nothing.

A post-norm encoder with learned absolute positions stays for thousands of steps at what the tokens' frequencies give.
Three measures help: word vectors from counts (`vocabulary.embed_words`); positions that begin as sines and cosines, so
that distance is a rotation; blocks that begin as the identity (zero output projections). All of it stays trainable.
`initialize_encoder` adds heads that look a fixed distance away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from longspan.train.vocabulary import embed_words

if TYPE_CHECKING:
    from longspan.models.longformer import LongformerModel

FREQUENCIES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)
"""Cycles in one period of the position table; two dimensions each."""

PERIOD = 256
"""Tokens in one period, where the model itself has none: positions further on begin as repetitions."""

TOKENS_TO_COUNT = 5_000_000
"""Tokens whose neighbours are counted for word vectors; more of them cost memory and change little."""


def circular_positions(period: int) -> Tensor:
    """(period, 2 F) float32: cos and sin of every frequency; row i + period would equal row i."""
    angle = 2 * math.pi * torch.arange(period)[:, None] * torch.tensor(FREQUENCIES)[None, :] / period
    return torch.cat([angle.cos(), angle.sin()], dim=1).float()


def initialize_from_rows(model: Any, rows: Iterable[Mapping[str, Any]], seed: int = 0) -> None:
    """Set the weights of a new model of either family, whatever its head, from the tokens that it will be trained on.

    Args:
        model: a task's model with new weights, at least 2 F + 1 wide; a narrower one stays as it is.
        rows: training rows with `input_ids`, one list or one for each choice; read up to `TOKENS_TO_COUNT`.
        seed: of what stays random.
    """
    config = model.config
    if config.hidden_size <= 2 * len(FREQUENCIES):
        return
    documents = list(_first_tokens(rows))
    vectors = embed_words(documents, config.vocab_size, config.hidden_size - 2 * len(FREQUENCIES), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    encoder = model.base_model
    initialize_embeddings(encoder.embeddings, config, vectors, generator=generator)
    for layer in encoder.encoder.layer:
        initialize_layer(layer, generator)
    counts = np.bincount(np.concatenate(documents), minlength=config.vocab_size)
    if hasattr(model, "lm_head"):  # Longformer's masked-language head
        initialize_decoder(model.lm_head.dense, model.lm_head.bias, counts)
    elif hasattr(model, "cls"):  # Nyströmformer's
        initialize_decoder(model.cls.predictions.transform.dense, model.cls.predictions.bias, counts)


def _first_tokens(rows: Iterable[Mapping[str, Any]]) -> Iterator[np.ndarray]:
    left = TOKENS_TO_COUNT
    for row in rows:
        ids = row["input_ids"]
        for part in ids if len(ids) and hasattr(ids[0], "__len__") else [ids]:
            yield np.asarray(part, dtype=np.int64)
            left -= len(part)
        if left <= 0:
            return


@torch.no_grad()
def initialize_embeddings(
    embeddings: Any, config: Any, word_vectors: np.ndarray, scale: float = 0.1, *, generator: torch.Generator
) -> None:
    """Word vectors in the first dimensions, positions in the last 2 F, nothing for token types.

    Args:
        word_vectors: (V, d - 2 F) float32; the last 2 F dimensions are the positions' own.
        scale: root mean square of an embedding row.
    """
    words = torch.from_numpy(word_vectors)
    width = words.shape[1]
    words = words / words.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
    embeddings.word_embeddings.weight.normal_(0, 0.02 * scale, generator=generator)
    embeddings.word_embeddings.weight[:, :width] += scale * words
    if config.pad_token_id is not None:
        embeddings.word_embeddings.weight[config.pad_token_id] = 0
    embeddings.token_type_embeddings.weight.zero_()
    table = embeddings.position_embeddings.weight.zero_()
    first = getattr(config, "position_offset", 0)
    rows = torch.arange(len(table) - first)
    period = getattr(config, "position_period", None) or PERIOD
    table[first:, width:] = scale * circular_positions(period)[rows % period]


@torch.no_grad()
def initialize_layer(layer: Any, generator: torch.Generator) -> None:
    """A layer that begins as the identity: nothing comes out of attention or feed-forward, gradients go in."""
    attention = layer.attention.self
    d = attention.query.weight.shape[1]
    for linear in (attention.query, attention.key):
        linear.weight.normal_(0, 0.5 / math.sqrt(d), generator=generator)
        linear.bias.zero_()
    nn.init.orthogonal_(attention.value.weight, generator=generator)
    attention.value.bias.zero_()
    layer.intermediate.dense.weight.normal_(0, 1 / math.sqrt(d), generator=generator)
    layer.intermediate.dense.bias.zero_()
    for output in (layer.attention.output, layer.output):
        output.dense.weight.zero_()
        output.dense.bias.zero_()


@torch.no_grad()
def initialize_decoder(dense: nn.Linear, bias: Tensor, counts: np.ndarray) -> None:
    """Guesses begin at the hidden state itself, turned to `counts` (V,), how often each id occurs."""
    nn.init.eye_(dense.weight)
    dense.bias.zero_()
    odds = (counts + 1) / (counts + 1).sum()
    bias.copy_(torch.from_numpy(np.log(odds)).float())


@torch.no_grad()
def initialize_encoder(
    encoder: LongformerModel, *, word_vectors: np.ndarray, offsets: Sequence[Sequence[int]], seed: int = 0
) -> None:
    """The contract model's first weights: as above, with heads that look a fixed distance to the left or right.

    Args:
        word_vectors: (V, d - 2 F) float32; the last 2 F dimensions are the positions' own.
        offsets: per layer, per head, the distance at which a head begins to look; 0 looks by content alone.

    Raises:
        ValueError: the encoder's positions do not repeat.
    """
    config = encoder.config
    period = config.position_period
    if period is None:
        raise ValueError("encoder must have a position_period, got None")
    generator = torch.Generator().manual_seed(seed)
    initialize_embeddings(encoder.embeddings, config, word_vectors, generator=generator)
    layer: Any
    for layer, looks in zip(encoder.encoder.layer, offsets, strict=True):
        initialize_layer(layer, generator)
        attention = layer.attention.self
        for head, distance in enumerate(looks):
            if distance:
                _look(attention, head, distance, period, config.hidden_size // config.num_attention_heads)
        for name in ("query_global", "key_global", "value_global"):
            getattr(attention, name).weight.zero_()
            getattr(attention, name).bias.zero_()


def _look(attention: Any, head: int, distance: int, period: int, size: int) -> None:
    reserved = 2 * len(FREQUENCIES)
    rows = slice(head * size, head * size + reserved)
    angle = 2 * math.pi * distance * torch.tensor(FREQUENCIES) / period
    # Far looks need no sharp edge: frequencies beyond one cycle per distance only add noise.
    gain = 1.7 * (torch.tensor(FREQUENCIES) * abs(distance) <= period).float()
    cos, sin = torch.diag(gain * angle.cos()), torch.diag(gain * angle.sin())
    # A query at i, turned by the distance, meets the key at i + distance.
    turn = torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])
    attention.query.weight[rows, -reserved:] = turn
    attention.key.weight[rows, -reserved:] = torch.diag(torch.cat([gain, gain]))


@torch.no_grad()
def initialize_classifier(classifier: nn.Linear, rates: np.ndarray, seed: int = 0) -> None:
    """Small weights; biases at the log odds of `rates` (C,), the share of tokens with each label."""
    classifier.weight.normal_(0, 0.02, generator=torch.Generator().manual_seed(seed))
    classifier.bias.copy_(torch.from_numpy(np.log(rates / (1 - rates))).float())
