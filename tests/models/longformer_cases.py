"""Tiny Longformers, batches and comparisons that the tests of the models share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import longspan
from longspan import LongformerConfig

BASE = "LongformerModel"
MASKED_LM = "LongformerForMaskedLM"
SEQUENCE = "LongformerForSequenceClassification"
CHOICE = "LongformerForMultipleChoice"
TOKEN = "LongformerForTokenClassification"
QUESTION = "LongformerForQuestionAnswering"
HEADS = (MASKED_LM, SEQUENCE, CHOICE, TOKEN, QUESTION)
CLASSES = (BASE, *HEADS)
WITHOUT_POOLING = (BASE, MASKED_LM, TOKEN, QUESTION)

PAD, SEP, FIRST_WORD, VOCABULARY = 1, 2, 5, 60


def fields(**changes: Any) -> dict[str, Any]:
    """Fields of a tiny configuration without dropout; the caller may change the dictionary."""
    tiny: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 260,
        "attention_window": [8, 4],
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    if "ForTokenClassification" in changes.pop("name", ""):
        tiny["num_labels"] = 5
    return {**tiny, **changes}


def config(**changes: Any) -> LongformerConfig:
    return LongformerConfig(**fields(**changes))


def scatter(model: nn.Module, seed: int = 0, scale: float = 0.25) -> None:
    """Weights large enough that attention is far from uniform, and biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32) * scale
            weight.copy_(1 + noise if "norm.weight" in name.lower() else noise)


def build(name: str, seed: int = 0, attn_implementation: str = "sdpa", **changes: Any) -> Any:
    """One of our classes with scattered weights, in eval mode."""
    model = getattr(longspan, name)._from_config(config(name=name, **changes), attn_implementation=attn_implementation)
    scatter(model, seed)
    return model.eval()


@dataclass(frozen=True)
class Batch:
    """Rows of different lengths, padded to the longest.

    Attributes:
        ids, mask, marks: (B, N) ids, attention mask and global attention mask.
    """

    ids: Tensor
    mask: Tensor
    marks: Tensor

    @property
    def valid(self) -> Tensor:
        return self.mask.bool()

    def inputs(self, name: str, **extra: Any) -> dict[str, Any]:
        """The keyword arguments of a class; multiple choice reads the rows as choices of one question."""
        given = {"input_ids": self.ids, "attention_mask": self.mask, "global_attention_mask": self.marks, **extra}
        if name == CHOICE:
            given = {key: x[None] if isinstance(x, Tensor) and x.dim() >= 2 else x for key, x in given.items()}
        return given


def words(*shape: int, seed: int = 0) -> Tensor:
    """Ids that are no special token."""
    return torch.randint(FIRST_WORD, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def batch(lengths: list[int], marks: str = "none", side: str = "right", seed: int = 0) -> Batch:
    """Random rows.

    Args:
        lengths: tokens in each row.
        marks: which tokens are global: "none", "first" of each row, "all", "ragged" (a random share that differs by
            row, none in the last of several rows).
        side: where the padding is.
        seed: of ids and marks.
    """
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    ids = words(len(lengths), longest, seed=seed)
    mask = torch.zeros_like(ids)
    chosen = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        text = slice(0, length) if side == "right" else slice(longest - length, longest)
        mask[row, text] = 1
        if marks == "all":
            chosen[row, text] = 1
        elif marks == "first":
            chosen[row, text.start] = 1
        elif marks == "ragged" and (row < len(lengths) - 1 or row == 0):
            share = torch.rand((), generator=generator)
            chosen[row, text] = (torch.rand(length, generator=generator) < share).long()
    return Batch(ids.masked_fill(mask == 0, PAD), mask, chosen)


def labels(name: str, rows: Batch, seed: int = 0) -> dict[str, Tensor]:
    """Targets of a head; none at padding."""
    generator = torch.Generator().manual_seed(seed + 1)
    count, length = rows.ids.shape
    if name in (MASKED_LM, TOKEN):
        classes = VOCABULARY if name == MASKED_LM else 5
        drawn = torch.randint(0, classes, (count, length), generator=generator)
        return {"labels": drawn.masked_fill(rows.mask == 0, -100)}
    if name == SEQUENCE:
        return {"labels": torch.randint(0, 2, (count,), generator=generator)}
    if name == CHOICE:
        return {"labels": torch.randint(0, count, (1,), generator=generator)}
    if name == QUESTION:
        first = rows.mask.argmax(1)
        last = first + rows.mask.sum(1) - 1
        return {"start_positions": first, "end_positions": last}
    return {}


def predictions(output: Any) -> dict[str, Tensor]:
    """The tensors of an output that are neither the loss nor of single layers."""
    return {key: x for key, x in output.items() if isinstance(x, Tensor) and key != "loss"}


def at_valid(x: Tensor, valid: Tensor) -> Tensor:
    """A prediction for each token where there is one; one for each row or choice as it is."""
    return x[valid] if x.shape[: valid.dim()] == valid.shape else x


def scaled_error(actual: Tensor, expected: Tensor, least: float = 1e-12) -> float:
    """Largest difference, scaled by the largest expected value (at least ``least``)."""
    assert actual.shape == expected.shape, f"shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    if not expected.numel():
        return 0.0
    difference = (actual.detach().double() - expected.detach().double()).abs().max()
    return float(difference / max(least, float(expected.detach().double().abs().max())))


def assert_same(actual: Any, expected: Any, valid: Tensor, tolerance: float = 1e-5) -> None:
    """The predictions of two outputs at valid tokens."""
    found, wanted = predictions(actual), predictions(expected)
    assert found.keys() == wanted.keys()
    for key, x in wanted.items():
        distance = scaled_error(at_valid(found[key], valid), at_valid(x, valid))
        assert distance <= tolerance, f"{key}: {distance:.2e}"
