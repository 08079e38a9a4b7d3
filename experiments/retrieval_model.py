"""The model of the retrieval experiment: a Longformer of two narrow layers whose questions are its global tokens."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from longspan.models.longformer import LongformerConfig, LongformerForTokenClassification

from .retrieval_documents import PAD, Alphabet, Documents

WINDOW = 8
LAYERS = 2
REACH = LAYERS * WINDOW // 2
"""Tokens that a token without global attention can hear from, on each side."""
_PERIOD = 16


def build_model(alphabet: Alphabet, seed: int, width: int = 64) -> LongformerForTokenClassification:
    """A new model with one class for each value, its weights drawn with ``seed``.

    Positions repeat every 16 tokens: they tell neighbours apart, at any length, and cannot tell where a pair stands.
    """
    config = LongformerConfig(
        vocab_size=alphabet.size,
        hidden_size=width,
        num_hidden_layers=LAYERS,
        num_attention_heads=1,
        intermediate_size=2 * width,
        attention_window=WINDOW,
        position_period=_PERIOD,
        max_position_embeddings=PAD + 1 + _PERIOD,
        type_vocab_size=2,
        num_labels=alphabet.values,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
    )
    torch.manual_seed(seed)
    model = LongformerForTokenClassification(config)
    _start(model)
    return model


@torch.no_grad()
def _start(model: LongformerForTokenClassification) -> None:
    """Initial weights from which the match is learnt in hundreds of steps, where the usual ones take thousands.

    Global queries and keys start as the same rotation, so that a question looks first at the tokens that resemble it:
    any symbol, and none in particular. What stands in a token outweighs where it stands.
    """
    embeddings = model.longformer.embeddings
    nn.init.normal_(embeddings.word_embeddings.weight, std=1.0)
    for table in (embeddings.position_embeddings, embeddings.token_type_embeddings):
        nn.init.normal_(table.weight, std=0.25)
    for layer in model.longformer.encoder.layer:
        attention, output = layer.attention.self, layer.attention.output.dense
        for linear, gain in (
            (attention.query, 0.5),
            (attention.key, 0.5),
            (attention.query_global, 1.1),
            (attention.value, 1.4),
            (attention.value_global, 1.4),
            (output, 1.4),
        ):
            nn.init.orthogonal_(linear.weight, gain)
        attention.key_global.weight.copy_(attention.query_global.weight)


def inputs(documents: Documents, globals_on: bool = True) -> dict[str, Tensor]:
    """The model's inputs: the questions are of token type 1 and, with ``globals_on``, global."""
    is_question = np.zeros_like(documents.ids)
    is_question[:, : documents.answers.shape[1]] = 1
    types = torch.from_numpy(is_question)
    return {
        "input_ids": torch.from_numpy(documents.ids),
        "token_type_ids": types,
        "global_attention_mask": types if globals_on else torch.zeros_like(types),
    }


def labels(documents: Documents) -> Tensor:
    """(B, N) int64: the answers at the questions, -100 elsewhere."""
    found = torch.full(documents.ids.shape, -100)
    found[:, : documents.answers.shape[1]] = torch.from_numpy(documents.answers)
    return found
