"""A small causal model and ids for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from longspan.models.longformer import LongformerConfig, LongformerForCausalLM


def settings_of(**changes: Any) -> dict[str, Any]:
    """Two layers, the upper one with dilated heads; large weights, so that a wrong key shows."""
    return {
        "causal": True,
        "attention_window": [6, 10],
        "dilation": [1, [1, 1, 2, 3]],
        "vocab_size": 50,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "initializer_range": 0.3,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
        "sep_token_id": None,
        **changes,
    }


def build(**changes: Any) -> LongformerForCausalLM:
    torch.manual_seed(0)
    return LongformerForCausalLM(LongformerConfig(**settings_of(**changes))).eval()


def draw_ids(batch: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 50, (batch, length), generator=torch.Generator().manual_seed(seed))
