"""Checkpoints of tiny torch models with inputs, outputs and gradients, for the Keras classes to be compared with.

    python -m tests.keras.references FOLDER [CASE ...]

``FOLDER/CASE/CLASS`` holds a checkpoint and ``case.npz``: ``in.NAME`` are the arguments, ``out.NAME`` what the class
returns, ``grad.KEY`` the gradient of the loss (of the base models: of the sum of hidden states times
``weight``) for each weight.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import longspan

FAMILIES = ("Longformer", "Nystromformer")
HEADS = (
    "Model",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForMultipleChoice",
    "ForQuestionAnswering",
)
CLASSES = tuple(family + head for family in FAMILIES for head in HEADS)
CASES = ("ragged", "plain", "left", "short", "defaults", "embeds", "options")
PAD, SEP, WORDS = 1, 2, 60
LENGTHS = {"ragged": (75, 41), "plain": (67,), "left": (40, 75), "short": (5, 3), "defaults": (50, 37)}

TINY: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 130,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
OWN: dict[str, dict[str, Any]] = {
    "Longformer": {"attention_window": [8, 5]},
    "Nystromformer": {"num_landmarks": 6, "segment_means_seq_len": 66, "conv_kernel_size": 5},
}
# configurations that take another way through the layers
OPTIONS: dict[str, dict[str, Any]] = {
    "Longformer": {"attention_window": [90, 0], "position_period": 20, "tie_word_embeddings": False},
    "Nystromformer": {
        "inv_coeff_init_option": True,
        "conv_kernel_size": None,
        "position_period": 20,
        "tie_word_embeddings": False,
    },
}


def build(name: str, **changes: Any) -> Any:
    """A class with weights large enough that attention is far from uniform, and biases that are not zero."""
    family = next(x for x in FAMILIES if name.startswith(x))
    labels = {"num_labels": 5} if "TokenClass" in name else {"num_labels": 3} if "Sequence" in name else {}
    config = getattr(longspan, f"{family}Config")(**{**TINY, **OWN[family], **labels, **changes})
    model = getattr(longspan, name)._from_config(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator) * 0.25
            weight.copy_(1 + noise if "norm.weight" in key.lower() else noise)
    return model.eval()


def inputs(name: str, case: str) -> dict[str, Tensor]:
    """The tensors of a case; multiple choice reads the rows as choices of one question."""
    lengths = LENGTHS.get(case, LENGTHS["ragged"])
    longest = max(lengths)
    generator = torch.Generator().manual_seed(len(case))
    ids = torch.randint(5, WORDS, (len(lengths), longest), generator=generator)
    mask = torch.zeros_like(ids)
    marks = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        text = slice(longest - length, longest) if case == "left" else slice(0, length)
        mask[row, text] = 1
        # 0 global tokens in the last row, some in the others
        if row < len(lengths) - 1 or case in ("left", "short"):
            marks[row, text] = (torch.rand(length, generator=generator) < 0.1).long()
            marks[row, text.start] = 1
    ids = ids.masked_fill(mask == 0, PAD)
    given = {"input_ids": ids}
    if case != "plain":
        given["attention_mask"] = mask
    if name.startswith("Longformer"):
        if case == "left":
            given["attention_mask"] = mask + marks * mask
        elif case == "defaults":
            ids[0, 7] = ids[1, 4] = ids[0, 20] = SEP
        elif case != "plain":
            given["global_attention_mask"] = marks
    if case == "embeds":
        del given["input_ids"]
        given["inputs_embeds"] = torch.randn(*ids.shape, TINY["hidden_size"], generator=generator)
    if case == "options":
        given["token_type_ids"] = torch.randint(0, 2, ids.shape, generator=generator)
        given["position_ids"] = torch.randint(2, 130, ids.shape, generator=generator)
    if "Choice" in name:
        return {key: x[None] for key, x in given.items()} | {"labels": torch.tensor([len(lengths) - 1])}
    rows = len(lengths)
    if "MaskedLM" in name or "TokenClass" in name:
        labels = torch.randint(0, WORDS if "MaskedLM" in name else 5, ids.shape, generator=generator)
        given["labels"] = labels.masked_fill((mask == 0) | (torch.rand(ids.shape, generator=generator) < 0.5), -100)
    elif "Sequence" in name:
        given["labels"] = torch.arange(rows) % 3
    elif "Question" in name:
        given["start_positions"], given["end_positions"] = torch.arange(rows) + 1, torch.arange(rows) * 60 + 3
    return given


def flatten(name: str, value: Any) -> dict[str, np.ndarray]:
    """Tensors of nested tuples, by name."""
    if isinstance(value, Tensor):
        return {name: value.detach().numpy()}
    return {key: x for i, part in enumerate(value) for key, x in flatten(f"{name}.{i}", part).items()}


def write(folder: Path, name: str, case: str) -> None:
    """Write the checkpoint and the case."""
    family = next(x for x in FAMILIES if name.startswith(x))
    model = build(name, **(OPTIONS[family] if case == "options" else {}))
    given = inputs(name, case)
    outputs = model(**given, output_attentions=True, output_hidden_states=True)
    content = {f"in.{key}": x.numpy() for key, x in given.items()}
    for key, value in outputs.items():
        content |= flatten(f"out.{key}", value)
    loss = outputs.get("loss")
    if loss is None:
        weight = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(1))
        if "attention_mask" in given:
            weight = weight * (given["attention_mask"] != 0)[:, :, None]
        content["weight"] = weight.numpy()
        loss = (outputs[0] * weight).sum()
        if "pooler_output" in outputs:
            loss = loss + outputs.pooler_output.sum()
    loss.backward()
    for key, x in model.named_parameters():
        content[f"grad.{key}"] = (torch.zeros_like(x) if x.grad is None else x.grad).numpy()
    place = folder / case / name
    place.mkdir(parents=True)
    model.save_pretrained(place)
    np.savez(place / "case.npz", **content)


def main(folder: str, *cases: str) -> None:
    torch.set_num_threads(1)
    for case in cases or CASES:
        for name in CLASSES:
            write(Path(folder), name, case)


if __name__ == "__main__":
    main(*sys.argv[1:])
