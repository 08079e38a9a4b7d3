"""From the trained model to the checkpoint that ships."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from longspan.models.longformer import LongformerConfig, LongformerForTokenClassification


def build_config(shape: dict[str, Any], vocabulary: int, period: int, labels: int = 2) -> LongformerConfig:
    """Configuration of the contract model: its position table is one period long and serves any length."""
    from longspan.models.longformer import LongformerConfig

    return LongformerConfig(
        **shape,
        vocab_size=vocabulary,
        max_position_embeddings=period + 2,
        position_period=period,
        type_vocab_size=1,
        num_labels=labels,
        problem_type="multi_label_classification",
    )


@torch.no_grad()
def export(
    model: LongformerForTokenClassification,
    tokenizer_file: Path,
    folder: Path,
    *,
    labels: Sequence[str],
    columns: Sequence[int],
    positive: float,
) -> None:
    """Write a checkpoint that `from_pretrained` and `transformers`' tokenizers read.

    Args:
        model: the trained model, with more outputs than labels. tokenizer_file: its tokenizer.json.
        folder: where the files go.
        labels: names of the outputs that stay. columns: their places among the outputs.
        positive: weight of positive labels in training. It shifts every logit by its logarithm, which is taken back, so
            that probabilities mean what they say.
    """
    from longspan.models.longformer import LongformerForTokenClassification

    config = model.config.__class__.from_dict(model.config.to_dict())
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
    small = LongformerForTokenClassification(config)
    state = model.state_dict()
    keep = torch.tensor(list(columns))
    state["classifier.weight"] = state["classifier.weight"][keep]
    state["classifier.bias"] = state["classifier.bias"][keep] - math.log(positive)
    small.load_state_dict(state)
    small.half().save_pretrained(folder)
    save_tokenizer(tokenizer_file, folder)


def save_tokenizer(file: Path, folder: Path) -> None:
    """Put the tokenizer of `file` into the folder of a checkpoint."""
    shutil.copyfile(file, folder / "tokenizer.json")
    names = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "sep": "</s>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
    settings = {"tokenizer_class": "LongformerTokenizer", **{f"{k}_token": v for k, v in names.items()}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
