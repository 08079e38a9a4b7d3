"""A tiny task that trains in a second: say of each token which class its number is of. And what it starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from longspan.tasks.examples import BadRow, Source, TextExample
from longspan.tasks.task import Encoding, Task
from tests.models.hub_models import make, make_tokenizer

TEXT = "this agreement is made between the parties and ends when one of them says so in writing"
WORDS = TEXT.split()


class Parity(Task[TextExample]):
    """Token ids modulo 3; a row whose text begins with "global" has a global first token.

    ``own_loss`` computes the model's loss again, outside of the model, which is then not given the labels.
    """

    name: ClassVar[str] = "parity"
    head: ClassVar[str] = "ForTokenClassification"

    def __init__(self, labels: list[str] | None = None, own_loss: bool = False) -> None:
        self.labels, self.own_loss = labels, own_loss
        self.metric = "accuracy"
        self.targets = ("labels",) if own_loss else ()

    def options(self) -> dict[str, Any]:
        return {"labels": self.labels, "own_loss": self.own_loss}

    def read(self, path, layout=None):
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            source = Source(str(path), number)
            if line.startswith("bad"):
                yield BadRow(source, "it says so")
            else:
                yield TextExample(f"{path}:{number}", source, line, label="of its tokens")

    def learn(self, examples):
        assert sum(1 for _ in examples) > 0
        self.labels = ["zero", "one", "two"]

    def settings(self):
        return {"id2label": dict(enumerate(self.labels)), "label2id": {x: i for i, x in enumerate(self.labels)}}

    def encode(self, example, encoding, training):
        if example.text.startswith("unfit"):
            return BadRow(example.source, "it does not fit")
        ids = encoding.tokenizer(example.text, truncation=True, max_length=encoding.max_length)["input_ids"]
        features = {"input_ids": ids, "global": int(example.text.startswith("global"))}
        # more of the long rows' tokens than of the short ones' are targets
        return [{**features, "labels": [x % 3 if len(ids) > 8 or x % 2 else -100 for x in ids]}]

    def collate(self, features, encoding: Encoding):
        width = max(len(x["input_ids"]) for x in features)

        def pad(name, value):
            return torch.tensor([x[name] + [value] * (width - len(x[name])) for x in features])

        batch = {"input_ids": pad("input_ids", 1), "labels": pad("labels", -100)}
        batch["attention_mask"] = (batch["input_ids"] != 1).long()
        if encoding.family == "longformer":
            batch["global_attention_mask"] = torch.zeros_like(batch["input_ids"])
            batch["global_attention_mask"][:, 0] = torch.tensor([x["global"] for x in features])
        return batch

    def loss(self, outputs, batch, num_items_in_batch=None):
        if not self.own_loss:
            return None
        total = F.cross_entropy(outputs.logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum")
        return total / (self.count_targets(batch) if num_items_in_batch is None else num_items_in_batch)

    def decode(self, example, features, outputs):
        return {
            "id": example.id,
            "right": [
                float(np.mean(out["logits"].argmax(-1) == np.array(x["input_ids"]) % 3))
                for x, out in zip(features, outputs, strict=True)
            ],
        }

    def record(self, example, prediction):
        assert example.id == prediction["id"]
        return prediction["right"]

    def score_records(self, records):
        return {"accuracy": float(np.mean(records))}


def write_texts(path: Path, rows: int, seed: int = 0) -> Path:
    """Lines of 1 to 24 words; the fifth and every eighth after it begin with "global"."""
    rng = np.random.default_rng(seed)
    lines = []
    for row in range(rows):
        words = rng.choice(WORDS, rng.integers(1, 25)).tolist()
        lines.append(" ".join(["global", *words] if row % 8 == 4 else words))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_checkpoint(folder: Path, family: str = "Longformer", **changes: Any) -> Path:
    """A model without a head, and its tokenizer."""
    tokenizer = make_tokenizer(model_max_length=128)
    make(family, "Model", vocab_size=len(tokenizer), **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
