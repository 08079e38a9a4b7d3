"""A proof at length: a small Longformer learns to retrieve at 4,096 tokens, and does it at 65,536.

    python -m experiments.retrieval

trains (minutes on one core), goes on for a few steps at 16,384 tokens, evaluates with the global tokens and with the
same weights without them, trains a control that never has any, writes ``experiments/results/retrieval.json`` and draws
``docs/images/retrieval.png``. A model that is trained, in ``--runs``, is not trained again.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longspan.models.longformer import LongformerForTokenClassification

from .results import FOLDER, commit
from .retrieval_documents import Alphabet
from .retrieval_evaluation import evaluate
from .retrieval_model import REACH, build_model
from .retrieval_plot import plot
from .retrieval_training import Plan, train

LENGTHS = (4096, 16_384, 65_536)
DOCUMENTS = 64
SPARSE = 64
"""Tokens for each pair of an evaluated document: at 65,536 tokens every key of the alphabet stands somewhere."""
EXTENSION = Plan(lengths=(16_384,), tokens=16_384, lr=2e-3, last_steps=450, spread=2)
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
    extension: Plan = EXTENSION,
    control: Plan = CONTROL,
    lengths: Sequence[int] = LENGTHS,
) -> dict[str, Any]:
    """The whole experiment, and what it came to.

    Args:
        seed: of weights and documents.
        documents: evaluated for each length.
        folder: trained models are kept in ``retrieval-<seed>``, ``-extended-<seed>`` and ``-control-<seed>``.
        alphabet, plan, extension, control, lengths: what is trained on and evaluated.
    """
    from benchmarks.machine import machine

    code = commit()

    def ask(model: LongformerForTokenClassification, length: int, globals_on: bool, what: str) -> dict[str, Any]:
        found = evaluate(model, alphabet, length, length // SPARSE, documents, seed, globals_on)
        shown = f"{found['right']} of {found['questions']} right, {found['accuracy']:.4f}"
        logger.info("%s, %d tokens, globals %s: %s", what, length, "on" if globals_on else "off", shown)
        return found

    short, training = _trained(folder / f"retrieval-{seed}", build_model(alphabet, seed), alphabet, plan, seed, True)
    model, extending = _trained(folder / f"retrieval-extended-{seed}", short, alphabet, extension, seed + 1, True)
    evaluated = [ask(model, length, on, "extended") for length in lengths for on in (True, False)]
    before = [ask(short, length, True, "before") for length in lengths]
    alone, training_alone = _trained(
        folder / f"retrieval-control-{seed}", build_model(alphabet, seed), alphabet, control, seed, False
    )
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
        "extension": extending,
        "evaluation": evaluated,
        "before_extension": before,
        "control": {"training": training_alone, "evaluation": ask(alone, lengths[0], False, "control")},
    }


def _trained(
    folder: Path, model: LongformerForTokenClassification, alphabet: Alphabet, plan: Plan, seed: int, globals_on: bool
) -> tuple[LongformerForTokenClassification, dict[str, Any]]:
    """The model of ``folder`` and how it was trained; a copy of ``model`` is trained now if it is not there."""
    record = folder / "training.json"
    if not record.exists():
        model = copy.deepcopy(model)
        code = commit()
        training = {"commit": code, **train(model, alphabet, plan, seed, globals_on)}
        model.save_pretrained(folder)
        record.write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return LongformerForTokenClassification.from_pretrained(folder), found


if __name__ == "__main__":
    main()
