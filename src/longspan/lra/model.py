"""The classifier of all tasks and models: longspan's encoders with pre-norm blocks, pooling and a small head.

Shapes: B rows, N tokens, d hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from longspan.lra.protocols import MODELS, Settings
from longspan.models.longformer import LongformerConfig, LongformerModel
from longspan.models.nystromformer import NystromformerConfig, NystromformerModel


class Classifier(nn.Module):
    """From documents to the scores of classes.

    Args:
        model: one of ``MODELS``; "softmax" is full attention, without landmarks and convolution.
        settings: sizes and pooling.
        vocabulary: ids are below it; 0 is masked.
        classes: how many.
        documents: of a row, 1 or 2.

    Raises:
        ValueError: there is no such model, or it cannot be built in such sizes.
    """

    def __init__(self, model: str, settings: Settings, *, vocabulary: int, classes: int, documents: int = 1) -> None:
        super().__init__()
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
        self.settings, self.documents = settings, documents
        self.first_id = vocabulary if settings.pooling == "first" else None
        self.encoder = _make_encoder(model, settings, vocabulary + 1)
        self.norm = nn.LayerNorm(settings.width)
        pooled = settings.width * (1 if documents == 1 else 4)
        self.head = nn.Sequential(nn.Linear(pooled, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, classes))
        self.global_tokens = settings.global_tokens if model == "longformer" else 0
        # the first position of either family's table; those before it are reserved
        self.offset = 1 if model == "longformer" else 2

    def forward(self, ids: Tensor) -> Tensor:
        """Scores (B, classes) of rows, ids (B * documents, N) with a row's documents one after the other."""
        if self.first_id is not None:
            ids = nn.functional.pad(ids, (1, 0), value=self.first_id)
        mask = ids != 0
        place = torch.arange(ids.shape[1], device=ids.device)
        given: dict[str, Any] = {"attention_mask": mask.long(), "position_ids": (place + self.offset).expand_as(ids)}
        if self.global_tokens:
            # the first ones that are seen: pictures may begin with masked pixels
            given["global_attention_mask"] = mask & (mask.cumsum(1) <= self.global_tokens)
        states = self.norm(self.encoder(ids, **given).last_hidden_state)
        if self.first_id is not None:
            pooled = states[:, 0]
        else:
            pooled = (states * mask.unsqueeze(-1)).sum(1) / self.settings.padded_length
        if self.documents == 2:
            one, two = pooled.unflatten(0, (-1, 2)).unbind(1)
            pooled = torch.cat([one, two, one * two, one - two], -1)
        return self.head(pooled)


def _make_encoder(model: str, settings: Settings, vocabulary: int) -> nn.Module:
    length = settings.padded_length + (settings.pooling == "first")
    shared: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "intermediate_size": settings.hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.attention_dropout,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    encoder: Any
    if model == "longformer":
        config = LongformerConfig(
            **shared, attention_window=settings.window, max_position_embeddings=length + 1, sep_token_id=None
        )
        encoder = LongformerModel(config, add_pooling_layer=False)
    else:
        softmax = model == "softmax"
        encoder = NystromformerModel(
            NystromformerConfig(
                **shared,
                max_position_embeddings=length,
                attention_type="softmax" if softmax else "nystrom",
                num_landmarks=settings.landmarks,
                conv_kernel_size=None if softmax else settings.convolution or None,
            )
        )
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):  # a width of 64 learns slowly from the spread of large models
            module.reset_parameters()
    encoder.embeddings.LayerNorm = nn.Identity()  # each block has one in front
    for layer in encoder.encoder.layer:
        layer.attention.output.norm_first = layer.output.norm_first = True
        layer.intermediate = nn.Sequential(layer.intermediate, nn.Dropout(settings.dropout))
    return encoder
