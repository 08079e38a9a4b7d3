"""The recipe of the shipped contract model: CUAD in, a checkpoint with tokenizer and decoding rules out.

    python -m longspan.train.contracts --data ../shared/data/cuad --out runs/contracts --steps 6539 --seed 0

Run again with the same arguments, it resumes. The test part is read only with ``--test``, after everything is chosen.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from longspan.tasks.cuad import CATEGORIES, Contract, read_contracts

if TYPE_CHECKING:
    from longspan.train.crops import Encoded

logger = logging.getLogger("longspan.train")

VOCABULARY = 8192
PERIOD = 256
EDGE_WEIGHT = 0.3
"""Weight in the loss of the labels for the first and last token of a passage."""
OTHER_WEIGHT = 0.3
"""Weight in the loss of CUAD's other categories, which are learnt along and dropped at the end."""
SHAPE: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 768,
    "attention_window": 128,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.0,
}
LOOKS = ((-1, 0, 1), (-4, 0, 4), (-16, 0, 16))
"""Distances at which the heads of each layer begin to look; see `initialize`."""
LABELS = [f"I-{c}" for c in CATEGORIES] + [f"B-{c}" for c in CATEGORIES]
"""Labels of the shipped checkpoint: inside a passage, and its first token."""


def main(argv: list[str] | None = None) -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(prog="python -m longspan.train.contracts", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with CUAD's two files (default: $LONGSPAN_DATA/cuad)")
    parser.add_argument("--out", type=Path, default=Path("runs/contracts"), help="folder of the run")
    parser.add_argument("--steps", type=int, default=6539, help="optimizer steps of 4,096 tokens")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop, rate decayed, after this long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    parser.add_argument("--test", action="store_true", help="score model and baselines on the test part at the end")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(arguments.threads)
    contracts = read_contracts(arguments.data)
    began = time.monotonic(), time.process_time()
    trainer = train(contracts, arguments)
    results = evaluate(contracts, arguments.out / "model", test=arguments.test)
    results["run"] = {
        "steps": trainer.step,
        "training_minutes": round(trainer.seconds / 60, 1),
        "training_cpu_minutes": round(trainer.cpu_seconds / 60, 1),
        "last_call_minutes": round((time.monotonic() - began[0]) / 60, 1),
        "last_call_cpu_minutes": round((time.process_time() - began[1]) / 60, 1),
        "threads": arguments.threads,
        "seed": arguments.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
    }
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def train(contracts: list[Contract], arguments: argparse.Namespace) -> Any:
    """Train (or finish training) and write the checkpoint to ``out/model``; returns the trainer."""
    import torch
    from tokenizers import Tokenizer

    from longspan.models.longformer import LongformerForTokenClassification
    from longspan.train.crops import CropSampler, add_edges
    from longspan.train.export import build_config, export
    from longspan.train.initialize import FREQUENCIES, initialize
    from longspan.train.loop import Schedule, Trainer
    from longspan.train.vocabulary import embed_words, train_tokenizer

    chosen = [c for c in contracts if c.part == "train"]
    tokenizer_file = arguments.out / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer((c.text for c in chosen), VOCABULARY).save(str(tokenizer_file), pretty=False)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    others = sorted({p.category for c in contracts for p in c.passages} - set(CATEGORIES))
    documents = encode_all(tokenizer, chosen, [*CATEGORIES, *others])
    labels = [add_edges(d, len(CATEGORIES)) for d in documents]
    columns = labels[0].shape[1]
    rates = sum(x.sum(axis=0) for x in labels) / sum(len(x) for x in labels)

    schedule = Schedule(steps=arguments.steps, minutes=arguments.minutes, seed=arguments.seed)
    torch.manual_seed(arguments.seed)
    model = LongformerForTokenClassification(build_config(SHAPE, VOCABULARY, PERIOD, columns))
    for name, p in model.named_parameters():
        # No token is global here: these weights are never read.
        p.requires_grad_("_global." not in name)
    weights = torch.ones(columns)
    weights[len(CATEGORIES) :] = OTHER_WEIGHT
    weights[len(CATEGORIES) + len(others) :] = EDGE_WEIGHT
    sampler = CropSampler(documents, labels, focus=len(CATEGORIES), seed=arguments.seed)
    trainer = Trainer(model, sampler, schedule, weights, arguments.out)
    if not trainer.checkpoint.exists():
        width = SHAPE["hidden_size"] - 2 * len(FREQUENCIES)
        vectors = embed_words([d.ids for d in documents], VOCABULARY, width, seed=arguments.seed)
        initialize(model, word_vectors=vectors, rates=np.clip(rates, 1e-6, 0.5), offsets=LOOKS, seed=arguments.seed)
        trainer.restart_average()
    trainer.run()
    trainer.use_average()
    first = len(CATEGORIES) + len(others)
    keep = [*range(len(CATEGORIES)), *range(first, first + len(CATEGORIES))]
    export(model, tokenizer_file, arguments.out / "model", labels=LABELS, columns=keep, positive=schedule.positive)
    return trainer


def encode_all(tokenizer: Any, contracts: list[Contract], categories: list[str]) -> list[Encoded]:
    """Every contract as arrays."""
    from longspan.train.crops import encode

    return [encode(tokenizer, c.text, c.passages, categories) for c in contracts]


def evaluate(contracts: list[Contract], model_folder: Path, *, test: bool) -> dict[str, Any]:
    """Choose decoding rules on the validation part and score; the test part only with `test`.

    Writes ``decoding.json`` into `model_folder`. Returns scores per category: of the model on validation and, with
    `test`, of the model and both baselines on test.
    """
    from longspan.tasks.baselines import SentenceClassifier, find_by_pattern
    from longspan.tasks.passages import score_texts
    from longspan.tasks.rules import save_rules
    from longspan.train.evaluation import read_examples, report
    from longspan.train.tuning import score_examples, tune

    parts = {p: [c for c in contracts if c.part == p] for p in ("train", "validation", "test")}
    rules, scores = tune(CATEGORIES, read_examples(model_folder, parts["validation"]))
    save_rules(rules, model_folder / "decoding.json")
    results = {"validation": {"model": report(scores)}}
    logger.info("validation: mean F1 %.3f", results["validation"]["model"]["mean"]["f1"])
    if test:
        found = score_examples(rules, read_examples(model_folder, parts["test"]))
        pairs = {p: [(c.text, c.passages) for c in parts[p]] for p in parts}
        sentences = SentenceClassifier(CATEGORIES).fit(pairs["train"]).tune(pairs["validation"])
        results["test"] = {
            "model": report(found),
            "sentences": report(score_texts(((sentences.find(t), g) for t, g in pairs["test"]), CATEGORIES)),
            "patterns": report(score_texts(((find_by_pattern(t), g) for t, g in pairs["test"]), CATEGORIES)),
        }
        for name, table in results["test"].items():
            logger.info("test: mean F1 of %s %.3f", name, table["mean"]["f1"])
    return results


if __name__ == "__main__":
    main()
