"""What a training step minimises, and how a part of the data is scored: batches of rows through the classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from longspan.lra.model import Classifier
from longspan.lra.rows import Rows
from longspan.train.order import RowOrder


class RowLabels(nn.Module):
    """Cross entropy of the classes of a step's rows, of which seed, epoch and place decide.

    Args:
        model: trained.
        rows: of the training part.
        seed: of their order.
    """

    def __init__(self, model: Classifier, rows: Rows, seed: int) -> None:
        super().__init__()
        self.model, self.rows = model, rows
        self.order = RowOrder(len(rows), model.settings.batch, seed=seed)
        self._epoch, self._batches = -1, []  # type: tuple[int, list[list[tuple[int, int]]]]

    def forward(self, step: int) -> Tensor:
        """Mean loss of batch ``step``."""
        epoch, place = divmod(step, self.order.steps)
        if epoch != self._epoch:
            self.order.epoch = self._epoch = epoch
            self._batches = list(self.order)
        chosen = [row for _, row in self._batches[place]]
        ids, labels = make_batch(self.rows, chosen, device_of(self.model))
        return nn.functional.cross_entropy(run_model(self.model, ids), labels)


def make_batch(rows: Rows, chosen: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids (B * documents, N), 0 behind each document's end, and labels (B,); N is the longest document's length."""
    documents = [ids for row in chosen for ids in rows[row]]
    batch = np.zeros((len(documents), max(1, *map(len, documents))), np.int64)
    for row, ids in zip(batch, documents, strict=True):
        row[: len(ids)] = ids
    labels = torch.from_numpy(rows.labels[chosen].astype(np.int64))
    return torch.from_numpy(batch).to(device), labels.to(device)


def run_model(model: Classifier, ids: Tensor) -> Tensor:
    """Scores in float32, computed in the precision of the settings."""
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=model.settings.bf16):
        return model(ids).float()


def evaluate(
    model: Classifier, rows: Rows, number: int = 0, on_rows: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """Accuracy and loss on ``number`` rows, evenly spaced since some files are in the order of classes; 0 for all.

    The model is left in evaluation mode. ``on_rows`` is told how many rows are done, of how many.
    """
    total = min(number or len(rows), len(rows))
    places = np.arange(total) * len(rows) // total
    right, loss = 0, 0.0
    model.eval()
    with torch.inference_mode():
        for start in range(0, total, model.settings.batch):
            chosen = places[start : start + model.settings.batch].tolist()
            ids, labels = make_batch(rows, chosen, device_of(model))
            scores = run_model(model, ids)
            right += int((scores.argmax(-1) == labels).sum())
            loss += float(nn.functional.cross_entropy(scores, labels, reduction="sum"))
            if on_rows is not None:
                on_rows(start + len(chosen), total)
    return {"accuracy": right / total, "loss": loss / total}


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters are."""
    return next(model.parameters()).device


def make_optimizer(model: nn.Module, **settings: Any) -> torch.optim.Optimizer:
    """AdamW over all parameters; biases and norms are not decayed."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for p in model.parameters():
        (decayed if p.ndim > 1 else others).append(p)
    decay = settings.pop("weight_decay")
    groups = [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, **settings)
