"""Tiny models of both families, a tokenizer, and saved checkpoints, for the tests of Hugging Face's machinery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import longspan

FAMILIES = ("Longformer", "Nystromformer")
HEADS = (
    "Model",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForMultipleChoice",
    "ForTokenClassification",
    "ForQuestionAnswering",
)
VOCAB = 60
SMALL_BPE = Path(__file__).parent / "data" / "roberta-small"


def make_config(family: str, lib: Any = longspan, **changes: Any) -> Any:
    own = {
        "Longformer": {"attention_window": [4, 8], "max_position_embeddings": 130},
        "Nystromformer": {
            "num_landmarks": 4,
            "segment_means_seq_len": 16,
            "conv_kernel_size": 5,
            "max_position_embeddings": 128,
        },
    }[family]
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        # large enough that attention is far from uniform
        "initializer_range": 0.2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "num_labels": 3,
    }
    return getattr(lib, f"{family}Config")(**{**sizes, **own, **changes})


def make(family: str, head: str = "ForMaskedLM", seed: int = 0, lib: Any = longspan, **changes: Any) -> Any:
    torch.manual_seed(seed)
    if head == "ForQuestionAnswering":
        changes = {"num_labels": 2, **changes}
    return getattr(lib, f"{family}{head}")(make_config(family, lib, **changes)).eval()


def make_ids(*shape: int, seed: int = 0, high: int = VOCAB) -> torch.Tensor:
    return torch.randint(3, high, shape, generator=torch.Generator().manual_seed(seed))


def make_inputs(family: str, batch: int = 2, length: int = 21, seed: int = 0) -> dict[str, torch.Tensor]:
    """Ragged rows; for Longformer with global tokens in the first row."""
    inputs = {"input_ids": make_ids(batch, length, seed=seed), "attention_mask": torch.ones(batch, length).long()}
    inputs["attention_mask"][-1, length - 5 :] = 0
    if family == "Longformer":
        inputs["global_attention_mask"] = torch.zeros(batch, length).long()
        inputs["global_attention_mask"][0, [0, 3]] = 1
    return inputs


def make_tokenizer(**keywords: Any) -> Any:
    """RoBERTa's byte-level BPE with 2,000 merges."""
    return longspan.LongformerTokenizer.from_pretrained(SMALL_BPE, **keywords)


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape, f"{tuple(a.shape)} and {tuple(b.shape)}"
    return float((a.detach().double() - b.detach().double()).abs().max())


def backend_modules(model: Any) -> list[Any]:
    """The self-attention modules, which read ``config._attn_implementation``."""
    return [layer.attention.self for layer in model.base_model.encoder.layer]
