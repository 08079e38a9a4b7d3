"""`fit` on TensorFlow beside a plain loop on the torch twin: the same start, data, order and optimizer, on IMDb.

    LONGSPAN_DATA=... python -m experiments.keras_imdb

trains a small Longformer twice, minutes each on one core, and a linear model on words of the same tokens, and writes
``experiments/results/keras-imdb.json``. There is no dropout, so that both do the same but for rounding.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from longspan.models.longformer import LongformerConfig, LongformerForSequenceClassification
from longspan.tasks.examples import TextExample, keep_good
from longspan.tasks.layouts.imdb import LABELS, read_imdb
from longspan.train.vocabulary import train_tokenizer

from .bag_of_words import Learner, Setting
from .data import prepare
from .keras_imdb_training import Plan, train_on_torch
from .results import FOLDER, commit, when_and_where
from .splits import split

EARLY = 20
"""Steps at the beginning whose losses are compared one by one."""
PACKAGES = ("torch", "tensorflow_cpu", "keras", "tokenizers", "scikit-learn", "numpy")

logger = logging.getLogger("longspan.experiments.keras_imdb")


def main(argv: Sequence[str] | None = None) -> None:
    """Train both, and write what they came to."""
    parser = argparse.ArgumentParser(prog="python -m experiments.keras_imdb", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="folder of data and weights")
    parser.add_argument("--result", type=Path, default=FOLDER / "keras-imdb.json")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows = list(keep_good(read_imdb(str(prepare("imdb", arguments.runs).train))))
    result = run(rows, arguments.seed, arguments.runs / f"keras-imdb-{arguments.seed}", Plan())
    arguments.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def run(rows: Sequence[TextExample], seed: int, folder: Path, plan: Plan) -> dict[str, Any]:
    """The whole experiment.

    Args:
        rows: reviews, from which the training and the validation examples are drawn.
        seed: of the draw, the order and the weights.
        folder: for data and weights.
        plan: sizes and settings.
    """
    code = commit()
    folder.mkdir(parents=True, exist_ok=True)
    parts = draw(rows, seed, plan)
    texts = write_data(parts, seed, folder, plan)
    start(seed, folder, plan)
    words = by_words(parts, texts, seed)
    logger.info("words: %.4f", words["accuracy"])
    found = {"torch": train_on_torch(folder, plan), "tensorflow": train_on_tensorflow(folder, plan)}
    for name, facts in found.items():
        logger.info("%s: %s", name, ", ".join(f"{x:.4f}" for x in facts["accuracy"]))
    losses = [np.array(facts["losses"]) for facts in found.values()]
    labels = [x.label for x in parts[1]]
    return {
        "command": f"python -m experiments.keras_imdb --seed {seed}",
        "commit": code,
        "seed": seed,
        **when_and_where(PACKAGES),
        "plan": dataclasses.asdict(plan),
        "majority": max(labels.count(label) for label in LABELS) / len(labels),
        "words": words,
        **found,
        "accuracy_difference": found["tensorflow"]["accuracy"][-1] - found["torch"]["accuracy"][-1],
        "largest_early_loss_difference": float(abs(losses[0] - losses[1])[:EARLY].max()),
        "early_steps": EARLY,
    }


def draw(rows: Sequence[TextExample], seed: int, plan: Plan) -> tuple[list[TextExample], list[TextExample]]:
    """Training and validation examples."""
    _, validation, train = split(rows, plan.validation, plan.train, f"keras-imdb {seed}")
    return train, validation


def write_data(
    parts: Sequence[Sequence[TextExample]], seed: int, folder: Path, plan: Plan
) -> tuple[list[str], list[str]]:
    """Write ``data.npz``, and return the texts as far as the models read them.

    Ids, masks (rows, tokens) and labels (rows,) of both parts, and ``orders`` (epochs, training rows), all int32.
    """
    tokenizer = train_tokenizer((x.text for x in parts[0]), plan.vocabulary)
    tokenizer.enable_truncation(plan.tokens)
    arrays, texts = {}, []
    for name, examples in zip(("train", "validation"), parts, strict=True):
        encoded = tokenizer.encode_batch([x.text for x in examples])
        texts.append([x.text[: e.offsets[len(e.ids) - 2][1]] for x, e in zip(examples, encoded, strict=True)])
        ids = np.full((len(examples), plan.tokens), 1, dtype=np.int32)
        for row, e in zip(ids, encoded, strict=True):
            row[: len(e.ids)] = e.ids
        arrays[f"{name}_ids"], arrays[f"{name}_mask"] = ids, (ids != 1).astype(np.int32)
        arrays[f"{name}_labels"] = np.array([LABELS.index(x.label) for x in examples], dtype=np.int32)
    rng = np.random.default_rng(seed)
    arrays["orders"] = np.stack([rng.permutation(len(parts[0])) for _ in range(plan.epochs)]).astype(np.int32)
    np.savez(folder / "data.npz", **arrays)
    return texts[0], texts[1]


def start(seed: int, folder: Path, plan: Plan) -> None:
    """Write the checkpoint that both begin with."""
    torch.manual_seed(seed)
    config = LongformerConfig(
        vocab_size=plan.vocabulary,
        hidden_size=plan.width,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        intermediate_size=4 * plan.width,
        max_position_embeddings=plan.tokens + 2,
        type_vocab_size=1,
        attention_window=plan.window,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=len(LABELS),
    )
    LongformerForSequenceClassification(config).save_pretrained(folder / "start")


def by_words(parts: Sequence[Sequence[TextExample]], texts: Sequence[Sequence[str]], seed: int) -> dict[str, Any]:
    """What TF-IDF and logistic regression come to on the same texts."""
    began = time.process_time()
    train, validation = (
        [dataclasses.replace(x, text=text) for x, text in zip(examples, cut, strict=True)]
        for examples, cut in zip(parts, texts, strict=True)
    )
    setting = Setting("text", 10.0)
    predicted = Learner(train, False, seed)(setting)(validation)
    right = sum(x.label == p["label"] for x, p in zip(validation, predicted, strict=True))
    return {"accuracy": right / len(validation), "cpu_seconds": round(time.process_time() - began, 1)}


def train_on_tensorflow(folder: Path, plan: Plan) -> dict[str, Any]:
    """:func:`.keras_imdb_training.train_on_tensorflow` in a process of its own, which imports no torch.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "experiments.keras_imdb_training", str(folder), json.dumps(dataclasses.asdict(plan))],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"the training on TensorFlow ended with {done.returncode}")
    content: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return content


if __name__ == "__main__":
    main()
