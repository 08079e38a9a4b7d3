"""The long model: its configuration, and where each of its weights comes from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..longformer.configuration import LongformerConfig
from ..nystromformer.configuration import NystromformerConfig
from .heads import HEADS
from .positions import repeat_positions
from .source import Source

_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "tie_word_embeddings",
    "chunk_size_feed_forward",
    "id2label",
    "label2id",
    "problem_type",
)
_LOCAL = ("query", "key", "value")
_POSITIONS = "embeddings.position_embeddings.weight"
# rows of Nyströmformer's position table before a document's first token
_NYSTROM_FIRST = 2


def longformer_config(
    source: Source, max_length: int, window: int | list[int], sep_token_id: int | None
) -> LongformerConfig:
    """A Longformer of the source's sizes for ``max_length`` tokens."""
    fields = {name: getattr(source.config, name) for name in _FIELDS}
    # as the model counts positions: from the row after the padding's
    first = (fields["pad_token_id"] or 0) + 1
    return LongformerConfig(
        **fields, attention_window=window, max_position_embeddings=max_length + first, sep_token_id=sep_token_id
    )


def nystromformer_config(source: Source, max_length: int, num_landmarks: int) -> NystromformerConfig:
    """A Nyströmformer of the source's sizes for ``max_length`` tokens.

    ``segment_means_seq_len`` is another multiple of the landmarks, since ``transformers`` reads equal numbers as exact
    softmax attention.
    """
    return NystromformerConfig(
        **{name: getattr(source.config, name) for name in _FIELDS},
        max_position_embeddings=max_length,
        num_landmarks=num_landmarks,
        segment_means_seq_len=max(max_length // num_landmarks, 2) * num_landmarks,
        attention_type="nystrom",
    )


def make_model(source: Source, config: LongformerConfig | NystromformerConfig) -> tuple[Any, list[str]]:
    """The long model in float32 and eval mode, and the names of the source's weights that it has no place for.

    It has the source's head where the family has one that computes the same, else none.
    """
    from .. import longformer, nystromformer
    from ..longformer.modeling import LongformerPooler

    family = config.model_type
    dropped = list(source.others)
    weights = _encoder_weights(source, config)
    layout = None if source.kind is None else HEADS[source.style][source.kind]
    fitting = None if source.kind is None else HEADS[family][source.kind]
    if layout is not None and not (fitting is not None and layout.computes_like(fitting, config)):
        dropped += [name for name in layout.weight_names() if ".pooler." not in name]
        layout = fitting = None
    keeps_pooler = source.has_pooler and family == "longformer"
    if source.has_pooler and not keeps_pooler:
        dropped += ["pooler.dense.weight", "pooler.dense.bias"]

    library = longformer if family == "longformer" else nystromformer
    prefix = "Longformer" if family == "longformer" else "Nystromformer"
    if fitting is None:
        model = getattr(library, f"{prefix}Model")(config)
        if family == "longformer" and not keeps_pooler:
            model.pooler = None
    else:
        model = getattr(library, f"{prefix}{source.kind}")(config)
        if keeps_pooler and model.base_model.pooler is None:
            # not a part of this class; saved beside it, so that the base model finds it
            model.base_model.pooler = LongformerPooler(config)
        weights = {f"{model.base_model_prefix}.{name}": weight for name, weight in weights.items()}
        assert layout is not None
        weights |= layout.rename(source.head, fitting)
    model.load_state_dict(weights, strict=True)
    return model.eval(), sorted(dropped)


def _encoder_weights(source: Source, config: LongformerConfig | NystromformerConfig) -> dict[str, Tensor]:
    """The weights of the new model without its head, with the pooler where it has a place."""
    given: dict[str, Tensor] = source.encoder.state_dict()
    weights = {name: weight for name, weight in given.items() if name.startswith(("embeddings.", "encoder."))}
    layers = [f"encoder.layer.{index}.attention.self" for index in range(config.num_hidden_layers)]
    length = config.max_position_embeddings
    if isinstance(config, LongformerConfig):
        first = config.position_offset
        length -= first
        for name in (f"{layer}.{part}" for layer in layers for part in _LOCAL):
            for kind in ("weight", "bias"):
                # a Longformer has them already
                weights.setdefault(f"{name}_global.{kind}", weights[f"{name}.{kind}"])
        if source.has_pooler:
            weights |= {name: weight for name, weight in given.items() if name.startswith("pooler.")}
    else:
        first = _NYSTROM_FIRST
        assert config.conv_kernel_size is not None
        kernel = torch.zeros(config.num_attention_heads, 1, config.conv_kernel_size, 1)
        weights |= {f"{layer}.conv.weight": kernel for layer in layers}
    weights[_POSITIONS] = repeat_positions(weights[_POSITIONS], source.first_position, first, length)
    return weights
