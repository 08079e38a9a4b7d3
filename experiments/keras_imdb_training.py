"""The two trainings that :mod:`.keras_imdb` compares; each imports its own framework only.

Both read ``data.npz`` and the checkpoint ``start`` of a folder, and take AdamW with a learning rate that rises in the
first tenth of the steps and falls to 0 along a cosine, on gradients that are clipped to a norm of 1.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Plan:
    """Sizes and settings.

    Attributes:
        train, validation: reviews.
        vocabulary: of the tokenizer, which is trained on the training reviews.
        tokens: of a review that are read, at most.
        layers, width, heads, window: of the model.
        batch: reviews in a step; it divides ``train``.
        epochs: over the training reviews.
        lr, weight_decay: of AdamW; ``BETAS`` and ``EPSILON`` are its other settings.
    """

    train: int = 4000
    validation: int = 2000
    vocabulary: int = 4096
    tokens: int = 256
    layers: int = 2
    width: int = 64
    heads: int = 4
    window: int = 64
    batch: int = 16
    epochs: int = 3
    lr: float = 1e-3
    weight_decay: float = 0.01

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.train // self.batch * self.epochs

    @property
    def rising(self) -> int:
        """Steps in which the learning rate rises."""
        return self.steps // 10


BETAS = (0.9, 0.999)
EPSILON = 1e-7


def train_on_torch(folder: Path, plan: Plan) -> dict[str, Any]:
    """A plain loop: ``losses`` of the steps, validation ``accuracy`` after each epoch, and ``cpu_seconds``."""
    import torch

    from longspan.models.longformer import LongformerForSequenceClassification

    data = {name: torch.from_numpy(x).long() for name, x in np.load(folder / "data.npz").items()}
    model = LongformerForSequenceClassification.from_pretrained(folder / "start").train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.lr, betas=BETAS, eps=EPSILON, weight_decay=plan.weight_decay
    )

    def factor(step: int) -> float:
        if step < plan.rising:
            return step / plan.rising
        return 0.5 + 0.5 * math.cos(math.pi * (step - plan.rising) / (plan.steps - plan.rising))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    began, losses, accuracy = time.process_time(), [], []

    def read(part: str, rows: Any) -> Any:
        ids, mask, labels = (data[f"{part}_{name}"][rows] for name in ("ids", "mask", "labels"))
        return model(input_ids=ids, attention_mask=mask, labels=labels), labels

    for order in data["orders"]:
        for rows in order.split(plan.batch):
            loss = read("train", rows)[0].loss
            loss.backward()
            losses.append(loss.item())
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for group in optimizer.param_groups:
                # Keras adds epsilon before the bias correction, torch after it
                group["eps"] = EPSILON / math.sqrt(1 - BETAS[1] ** len(losses))
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        right = 0
        with torch.inference_mode():
            for rows in torch.arange(plan.validation).split(plan.batch):
                output, labels = read("validation", rows)
                right += int((output.logits.argmax(-1) == labels).sum())
        accuracy.append(right / plan.validation)
    return {"losses": losses, "accuracy": accuracy, "cpu_seconds": round(time.process_time() - began, 1)}


def train_on_tensorflow(folder: Path, plan: Plan) -> dict[str, Any]:
    """The same by ``fit`` and ``evaluate``, with a call of ``fit`` for each epoch's order."""
    import keras

    from longspan.keras import TFLongformerForSequenceClassification

    data = dict(np.load(folder / "data.npz"))
    model = TFLongformerForSequenceClassification.from_pretrained(folder / "start")
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, plan.steps - plan.rising, warmup_target=plan.lr, warmup_steps=plan.rising
    )
    optimizer = keras.optimizers.AdamW(
        rate,
        weight_decay=plan.weight_decay,
        beta_1=BETAS[0],
        beta_2=BETAS[1],
        epsilon=EPSILON,
        global_clipnorm=1.0,
    )
    model.compile(optimizer, metrics=["sparse_categorical_accuracy"])
    began, losses, accuracy = time.process_time(), [], []
    # what fit reports is a mean since the last reset
    record = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: model.reset_metrics(),
        on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"])),
    )

    def given(part: str, rows: Any = slice(None)) -> Any:
        inputs = {"input_ids": data[f"{part}_ids"][rows], "attention_mask": data[f"{part}_mask"][rows]}
        return inputs, data[f"{part}_labels"][rows]

    for order in data["orders"]:
        model.fit(*given("train", order), batch_size=plan.batch, shuffle=False, verbose=0, callbacks=[record])
        found = model.evaluate(*given("validation"), batch_size=plan.batch, verbose=0, return_dict=True)
        accuracy.append(round(float(found["sparse_categorical_accuracy"]), 6))
    return {"losses": losses, "accuracy": accuracy, "cpu_seconds": round(time.process_time() - began, 1)}


if __name__ == "__main__":
    result = train_on_tensorflow(Path(sys.argv[1]), Plan(**json.loads(sys.argv[2])))
    if "torch" in sys.modules:
        sys.exit("torch was imported")
    sys.stdout.write("\n" + json.dumps(result) + "\n")
