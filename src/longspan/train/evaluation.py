"""A checkpoint on marked contracts, each read whole in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from longspan.tasks.cuad import Contract
from longspan.tasks.decoding import normalize
from longspan.tasks.document import Document
from longspan.tasks.passages import Score, mean_f1
from longspan.train.tuning import Example


def read_examples(folder: Path, contracts: Sequence[Contract]) -> list[Example]:
    """Probabilities of the checkpoint in `folder` for every contract, computed in float32."""
    import torch
    from tokenizers import Tokenizer

    from longspan.models.longformer import LongformerForTokenClassification

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = LongformerForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    examples: list[Example] = []
    for contract in contracts:
        encoding = tokenizer.encode(contract.text)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([encoding.ids])).logits[0]
        document = Document.build(contract.text, np.array(encoding.offsets))
        probabilities = normalize(logits.sigmoid().numpy(), labels, exclusive=False)
        for pair in probabilities.values():
            pair[:, 0] = document.pool(pair[:, 0])
        examples.append((document, probabilities, contract.passages))
    return examples


def report(scores: Mapping[str, Score]) -> dict[str, Any]:
    """Scores as JSON-ready numbers, with the mean F1 under ``mean``."""
    table: dict[str, Any] = {
        category: {
            "f1": round(s.f1, 4),
            "precision": round(s.precision, 4),
            "recall": round(s.recall, 4),
            "gold": s.gold,
            "predicted": s.predicted,
        }
        for category, s in scores.items()
    }
    table["mean"] = {"f1": round(mean_f1(scores), 4)}
    return table
