"""The task choose: which of several continuations or answers belongs to a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from longspan.tasks.examples import BadRow, ChoiceExample, DataError
from longspan.tasks.layouts.multiple_choice import LAYOUTS, read_choices
from longspan.tasks.logits import softmax
from longspan.tasks.pairs import cut, encode_pair, pad_columns
from longspan.tasks.task import Encoding, Features, Prediction, Task

if TYPE_CHECKING:
    from torch import Tensor


class Choose(Task[ChoiceExample]):
    """One of several choices; their number may differ from row to row.

    Each choice is read behind the prompt, as a pair. A prompt that is too long is cut into windows, the same for all
    choices, which are never cut. In training each window has the row's label; a prediction is the mean of the windows'
    probabilities.
    """

    name = "choose"
    head = "ForMultipleChoice"
    metric = "accuracy"
    targets = ("choice_mask",)

    def options(self) -> dict[str, Any]:
        return {}

    def read(self, path: str, layout: str | None = None) -> Iterator[ChoiceExample | BadRow]:
        if layout not in (None, *LAYOUTS):
            raise DataError(f"{path}: unknown layout {layout!r}; choose knows {', '.join(LAYOUTS)}")
        return read_choices(path, layout)

    def encode(self, example: ChoiceExample, encoding: Encoding, training: bool) -> list[Features] | BadRow:
        if training and example.label is None:
            return BadRow(example.source, "there is no label")
        pairs = [encode_pair(encoding.tokenizer, example.prompt, choice) for choice in example.choices]
        spans = [pair.span(0) for pair in pairs]
        size = spans[0][1] - spans[0][0]
        try:
            windows = cut(size, max(map(len, pairs)) - size, encoding)
        except ValueError as error:
            return BadRow(example.source, str(error))
        target = {} if example.label is None else {"labels": example.label}
        features = []
        for window in windows:
            parts = [pair.window(span, *window) for pair, span in zip(pairs, spans, strict=True)]
            features.append({name: [part[name] for part in parts] for name in parts[0]} | target)
        return features

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        """Tensors (B, choices, N), and ``choice_mask`` (B, choices) where rows have different numbers of choices."""
        import torch

        counts = [len(f["input_ids"]) for f in features]
        most = max(counts)
        rows: list[Features] = []
        for f in features:
            columns = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in f]
            rows += [{name: f[name][i] for name in columns} for i in range(len(f["input_ids"]))]
            # Padding: a choice without a token
            rows += [{name: [] for name in columns}] * (most - len(f["input_ids"]))
        batch = {name: x.unflatten(0, (-1, most)) for name, x in pad_columns(rows, encoding.tokenizer).items()}
        if min(counts) < most:
            batch["choice_mask"] = torch.arange(most) < torch.tensor(counts)[:, None]
        if all("labels" in f for f in features):
            batch["labels"] = torch.tensor([f["labels"] for f in features], dtype=torch.long)
        return batch

    def loss(self, outputs: Any, batch: Mapping[str, Tensor], num_items_in_batch: Any = None) -> Tensor | None:
        """The model's own loss, unless choices are padded: it does not know of padding."""
        import torch.nn.functional as F

        if "choice_mask" not in batch:
            return None
        logits = outputs["logits"].float().masked_fill(~batch["choice_mask"], -float("inf"))
        total = F.cross_entropy(logits, batch["labels"], reduction="sum")
        return total / (len(logits) if num_items_in_batch is None else num_items_in_batch)

    def decode(
        self, example: ChoiceExample, features: Sequence[Features], outputs: Sequence[Mapping[str, np.ndarray]]
    ) -> Prediction:
        """``label``, the number of the choice, its text as ``choice``, and ``scores``, the probability of each."""
        logits = np.stack([output["logits"][: len(example.choices)] for output in outputs]).astype(np.float64)
        chances = softmax(logits).mean(axis=0)
        label = int(chances.argmax())
        prediction = {"id": example.id, "label": label, "choice": example.choices[label], "scores": chances.tolist()}
        return prediction | ({"windows": len(outputs)} if len(outputs) > 1 else {})

    def record(self, example: ChoiceExample, prediction: Prediction) -> bool:
        """Whether the choice is right."""
        if example.label is None:
            raise ValueError(f"{example.source}: there is no label to compare with")
        return bool(example.label == prediction["label"])

    def score_records(self, records: Sequence[bool]) -> dict[str, float]:
        """``accuracy``, 0 to 1."""
        if not records:
            raise ValueError("there is no example to score")
        return {"accuracy": sum(records) / len(records)}
