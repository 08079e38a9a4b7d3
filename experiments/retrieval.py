"""A proof at length: a small Longformer learns to retrieve at 4,096 tokens and does it at 65,536.

    python -m experiments.retrieval

trains (minutes on one core), evaluates with the global tokens and with the same weights without them, trains a control
that never has any, writes ``experiments/results/retrieval.json`` and draws ``docs/images/retrieval.png``. A model that
is trained, in ``--runs``, is not trained again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from longspan.models.longformer import LongformerForTokenClassification

from .results import FOLDER, commit
from .retrieval_documents import Alphabet
from .retrieval_evaluation import evaluate
from .retrieval_model import REACH, build_model
from .retrieval_plot import plot
from .retrieval_training import Plan, train

LENGTHS = (4096, 16_384, 65_536)
DOCUMENTS = 128
SPARSE = 64
"""Tokens for each pair of an evaluated document: at 65,536 tokens every key of the alphabet stands somewhere."""
CONTROL = Plan(lengths=(32,), last_steps=600)
"""The control learns on documents of 32 tokens, where its window sees the most."""
IMAGE = Path(__file__).parent.parent / "docs" / "images" / "retrieval.png"

logger = logging.getLogger("longspan.experiments.retrieval")


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not trained yet, evaluate, write and draw."""
    parser = argparse.ArgumentParser(prog="python -m experiments.retrieval", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="for each length, of 32 questions each")
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="folder of the trained models")
    parser.add_argument("--result", type=Path, default=FOLDER / "retrieval.json")
    parser.add_argument("--image", type=Path, default=IMAGE)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    result = run(arguments.seed, arguments.documents, arguments.runs)
    arguments.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    plot(result, arguments.image)


def run(
    seed: int,
    documents: int,
    folder: Path,
    alphabet: Alphabet = Alphabet(),  # noqa: B008
    plan: Plan = Plan(),  # noqa: B008
    control: Plan = CONTROL,
    lengths: Sequence[int] = LENGTHS,
) -> dict[str, Any]:
    """The whole experiment, and what it came to.

    Args:
        seed: of weights and documents.
        documents: evaluated for each length.
        folder: trained models are kept in ``retrieval-<seed>`` and ``retrieval-control-<seed>``.
        alphabet, plan, control, lengths: what is trained on and evaluated.
    """
    from benchmarks.machine import machine

    code = commit()
    model, training = _trained(folder / f"retrieval-{seed}", alphabet, plan, seed, True)
    evaluated = []
    for length in lengths:
        for globals_on in (True, False):
            evaluated.append(evaluate(model, alphabet, length, length // SPARSE, documents, seed, globals_on))
            _say(evaluated[-1], "")
    other, short = _trained(folder / f"retrieval-control-{seed}", alphabet, control, seed, False)
    alone = evaluate(other, alphabet, lengths[0], lengths[0] // SPARSE, documents, seed, False)
    _say(alone, "control, ")
    return {
        "command": f"python -m experiments.retrieval --seed {seed} --documents {documents}",
        "commit": code,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seed": seed,
        "machine": machine(),
        "chance": 1 / alphabet.values,
        "model": {
            "layers": model.config.num_hidden_layers,
            "width": model.config.hidden_size,
            "attention_window": model.config.attention_window,
            "reach_without_globals": REACH,
            "position_period": model.config.position_period,
            "parameters": sum(p.numel() for p in model.parameters()),
        },
        "training": training,
        "evaluation": evaluated,
        "control": {"training": short, "evaluation": alone},
    }


def _trained(
    folder: Path, alphabet: Alphabet, plan: Plan, seed: int, globals_on: bool
) -> tuple[LongformerForTokenClassification, dict[str, Any]]:
    """The model of ``folder`` and how it was trained; trained now if it is not there."""
    record = folder / "training.json"
    if not record.exists():
        torch.manual_seed(seed)
        model = build_model(alphabet)
        code = commit()
        training = {"commit": code, **train(model, alphabet, plan, seed, globals_on)}
        model.save_pretrained(folder)
        record.write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    model = LongformerForTokenClassification.from_pretrained(folder)
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return model, found


def _say(result: dict[str, Any], what: str) -> None:
    logger.info(
        "%s%d tokens, globals %s: %d of %d right, %.4f",
        what,
        result["tokens"],
        "on" if result["globals"] else "off",
        result["right"],
        result["questions"],
        result["accuracy"],
    )


if __name__ == "__main__":
    main()
