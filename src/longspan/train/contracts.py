"""The recipe of the shipped contract model: CUAD in, a checkpoint with tokenizer and decoding rules out.

    python -m longspan.train.contracts --data ../shared/data/cuad --out runs/contracts --steps 6539 --seed 0

Run again with the same arguments, it resumes. The test part is read only with ``--test``, after everything is chosen.

Decoding rules chosen on the few validation contracts fit these too well. ``--fold K`` trains without a part of the
training contracts. Such runs, one for each K below `FOLDS`, given as ``--cross``, let the rules be chosen on all
training contracts, each as read by a model that has not seen its labels.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from longspan.tasks.cuad import CATEGORIES, Contract, read_contracts
from longspan.train.pretraining import PERIOD, VOCABULARY, read_tokenizer, thread_count

if TYPE_CHECKING:
    from longspan.train.crops import Encoded

logger = logging.getLogger("longspan.train")

POSITIVE = 3.0
"""Weight in the loss of a positive label."""
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
FOLDS = 2
"""Parts of the training contracts that ``--fold`` leaves out in turn."""
LABELS = [f"I-{c}" for c in CATEGORIES] + [f"B-{c}" for c in CATEGORIES]
"""Labels of the shipped checkpoint: inside a passage, and its first token."""


def main(argv: list[str] | None = None) -> None:
    """Run the recipe from the command line."""
    arguments = parse(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(arguments.threads)
    contracts = read_contracts(arguments.data)
    began = time.monotonic(), time.process_time()
    trainer = train(contracts, arguments)
    results: dict[str, Any] = {}
    if arguments.fold is None:
        results = evaluate(contracts, arguments.out / "model", cross=arguments.cross, test=arguments.test)
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


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m longspan.train.contracts", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with CUAD's two files (default: $LONGSPAN_DATA/cuad)")
    parser.add_argument("--out", type=Path, default=Path("runs/contracts"), help="folder of the run")
    parser.add_argument("--encoder", type=Path, help="pretrained encoder (longspan.train.pretraining) to begin with")
    parser.add_argument("--steps", type=int, default=6539, help="optimizer steps of 4,096 tokens")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop, rate decayed, after this long")
    parser.add_argument("--rate", type=float, default=1.0, help="factor of the learning rates")
    parser.add_argument("--dropout", type=float, default=0.1, help="dropout of hidden states")
    parser.add_argument("--masked", type=float, default=0.1, help="share of the tokens that are hidden")
    parser.add_argument("--guesses", type=float, default=0.0, help="weight of guessing the hidden tokens")
    parser.add_argument("--teacher", type=float, default=0.0, help="weight of a sentence classifier's soft labels")
    parser.add_argument("--fold", type=int, choices=range(FOLDS), help="part of the training contracts to leave out")
    parser.add_argument(
        "--cross", type=Path, nargs=FOLDS, default=(), metavar="RUN", help="runs of --fold 0, 1, ... to choose rules by"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=thread_count, default=1, help="threads of PyTorch")
    parser.add_argument("--test", action="store_true", help="score model and baselines on the test part at the end")
    return parser.parse_args(argv)


def train(contracts: list[Contract], arguments: argparse.Namespace) -> Any:
    """Train (or finish training) and write the checkpoint to ``out/model``; returns the trainer."""
    import torch

    from longspan.train.crops import CropSampler, add_edges
    from longspan.train.export import export
    from longspan.train.loop import Schedule, Trainer
    from longspan.train.objectives import PassageLabels
    from longspan.train.teacher import soft_labels

    chosen, _ = split(contracts, arguments.fold)
    tokenizer_file = arguments.out / "tokenizer.json"
    if arguments.encoder is not None:
        shutil.copyfile(arguments.encoder / "tokenizer.json", tokenizer_file)
    tokenizer = read_tokenizer(tokenizer_file, [c.text for c in chosen], VOCABULARY)
    others = sorted({p.category for c in contracts for p in c.passages} - set(CATEGORIES))
    documents = encode_all(tokenizer, chosen, [*CATEGORIES, *others])
    labels = [add_edges(d, len(CATEGORIES)) for d in documents]
    edges = len(CATEGORIES) + len(others)
    weights = [1.0] * len(CATEGORIES) + [OTHER_WEIGHT] * len(others) + [EDGE_WEIGHT] * 2 * len(CATEGORIES)
    positive = [POSITIVE] * len(weights)
    if arguments.teacher:
        soft = soft_labels(chosen, documents, CATEGORIES, arguments.out / "teacher.npy", seed=arguments.seed)
        labels = [np.concatenate([x, s], axis=1) for x, s in zip(labels, soft, strict=True)]
        weights += [arguments.teacher] * len(CATEGORIES)
        positive += [1.0] * len(CATEGORIES)
    rates = sum(x.sum(axis=0, dtype=np.float64) for x in labels) / sum(len(x) for x in labels)

    model, lm_head = build(arguments, documents, np.clip(rates, 1e-6, 0.5))
    sampler = CropSampler(
        documents,
        labels,
        focus=len(CATEGORIES),
        vocabulary=tokenizer.get_vocab_size(),
        masked=arguments.masked,
        seed=arguments.seed,
    )
    objective = PassageLabels(
        model, sampler, torch.tensor(weights), torch.tensor(positive), lm_head, guesses=arguments.guesses
    )
    schedule = Schedule(steps=arguments.steps, minutes=arguments.minutes, rate=arguments.rate, seed=arguments.seed)
    trainer = Trainer(objective, schedule, arguments.out)
    trainer.run()
    trainer.use_average()
    keep = [*range(len(CATEGORIES)), *range(edges, edges + len(CATEGORIES))]
    export(model, tokenizer_file, arguments.out / "model", labels=LABELS, columns=keep, positive=POSITIVE)
    return trainer


def split(contracts: list[Contract], fold: int | None) -> tuple[list[Contract], list[Contract]]:
    """The training contracts that are learnt from, and those that `fold` leaves out (none if it is None)."""
    training = [c for c in contracts if c.part == "train"]
    left_out = [] if fold is None else training[fold::FOLDS]
    names = {c.name for c in left_out}
    return [c for c in training if c.name not in names], left_out


def build(arguments: argparse.Namespace, documents: list[Encoded], rates: np.ndarray) -> tuple[Any, Any]:
    """The untrained model, and the head for hidden tokens where it is wanted.

    Its encoder comes from ``arguments.encoder``, or begins as `initialize` says.
    """
    import torch

    from longspan.models.longformer import LongformerConfig, LongformerForMaskedLM, LongformerForTokenClassification
    from longspan.train.export import build_config
    from longspan.train.initialize import FREQUENCIES, initialize_classifier, initialize_encoder
    from longspan.train.vocabulary import embed_words

    torch.manual_seed(arguments.seed)
    if arguments.encoder is None:
        config = build_config(SHAPE | {"hidden_dropout_prob": arguments.dropout}, VOCABULARY, PERIOD, len(rates))
        masked = LongformerForMaskedLM(config)
        width = config.hidden_size - 2 * len(FREQUENCIES)
        vectors = embed_words([d.ids for d in documents], VOCABULARY, width, seed=arguments.seed)
        initialize_encoder(masked.longformer, word_vectors=vectors, offsets=LOOKS, seed=arguments.seed)
    else:
        config = LongformerConfig.from_pretrained(arguments.encoder)
        config.num_labels, config.hidden_dropout_prob = len(rates), arguments.dropout
        masked = LongformerForMaskedLM.from_pretrained(arguments.encoder, config=config)
    model = LongformerForTokenClassification(config)
    model.longformer = masked.longformer
    initialize_classifier(model.classifier, rates, seed=arguments.seed)
    for name, p in model.named_parameters():
        # No token is global here: these weights are never read.
        p.requires_grad_("_global." not in name)
    return model, masked.lm_head if arguments.guesses else None


def encode_all(tokenizer: Any, contracts: list[Contract], categories: list[str]) -> list[Encoded]:
    """Every contract as arrays."""
    from longspan.train.crops import encode

    return [encode(tokenizer, c.text, c.passages, categories) for c in contracts]


def evaluate(
    contracts: list[Contract], model_folder: Path, *, cross: Sequence[Path] = (), test: bool = False
) -> dict[str, Any]:
    """Choose decoding rules on the validation part and score; the test part only with `test`.

    With `cross`, the runs of every ``--fold``, rules are chosen on the training contracts and the validation part is
    only scored. Writes ``decoding.json`` into `model_folder`. Returns scores per category: of the model on validation
    and, with `test`, of the model and both baselines on test.
    """
    from longspan.tasks.baselines import SentenceClassifier, find_by_pattern
    from longspan.tasks.passages import score_texts
    from longspan.tasks.rules import save_rules
    from longspan.train.evaluation import read_examples, report
    from longspan.train.tuning import GROUPS, score_examples, tune

    parts = {p: [c for c in contracts if c.part == p] for p in ("train", "validation", "test")}
    validation = read_examples(model_folder, parts["validation"])
    judged = [read_examples(run / "model", split(contracts, k)[1]) for k, run in enumerate(cross)]
    rules, _ = tune(GROUPS, [x for part in judged for x in part] or validation)
    scores = score_examples(rules, validation)
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
