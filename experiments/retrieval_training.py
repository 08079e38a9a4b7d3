"""Training on key-value retrieval: short documents first, then twice as long, until 4,096 tokens."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from longspan.models.longformer import LongformerForTokenClassification

from .retrieval_documents import Alphabet
from .retrieval_model import inputs, labels

logger = logging.getLogger("longspan.experiments.retrieval")

_DENSE_BELOW = 128
"""Many short rows cost less under dense attention, which gives the same numbers."""
_KEEP = 0.98
"""Of the running average of right answers, kept at each step."""


@dataclass(frozen=True)
class Plan:
    """How long documents get, and when.

    Attributes:
        lengths: of documents, stage by stage. A stage ends when the model has solved it, the last after ``last_steps``.
        solved: running average of right answers that ends a stage.
        tokens: in a step.
        lr: learning rate, after 50 steps of warm-up; it falls to 0 over the last stage.
        last_steps: steps of the last stage.
        most_steps: of any other stage.
        spread: the most pairs of a document, a quarter of its tokens or all keys, divided by the fewest.
    """

    lengths: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048, 4096)
    solved: float = 0.95
    tokens: int = 2048
    lr: float = 3e-3
    last_steps: int = 500
    most_steps: int = 4000
    spread: int = 16


def questions_at(length: int) -> int:
    """Questions in a training document: 32, fewer in a short one, where they would crowd out the pairs."""
    return min(32, max(1, length // 8))


def train(
    model: LongformerForTokenClassification, alphabet: Alphabet, plan: Plan, seed: int, globals_on: bool = True
) -> dict[str, Any]:
    """Train ``model`` in place, and tell what it took.

    The number of pairs is drawn anew for each step, from a sparse body to one of which every other token belongs to a
    pair, and up to all keys: the longest documents of training then hold as many pairs as those of 65,536 tokens.

    Args:
        model: to train.
        alphabet: of the documents.
        plan: its lengths and steps.
        seed: of the documents.
        globals_on: whether the questions are global.

    Raises:
        RuntimeError: a stage was not solved within its steps.
    """
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.lr, betas=(0.9, 0.98), weight_decay=0.0)
    model.train()
    began, steps, stages = time.process_time(), 0, []
    for stage, length in enumerate(plan.lengths):
        model.set_attn_implementation("eager" if length < _DENSE_BELOW else "sdpa")
        is_last = stage == len(plan.lengths) - 1
        step, right = 0, 0.0
        while step < plan.last_steps if is_last else right < plan.solved:
            if step >= plan.most_steps and not is_last:
                raise RuntimeError(f"{length} tokens: {right:.3f} right after {step:,} steps, {plan.solved} is the aim")
            rate = min(1.0, (steps + 1) / 50) * (1 - step / plan.last_steps if is_last else 1.0)
            for group in optimizer.param_groups:
                group["lr"] = plan.lr * rate
            right = _KEEP * right + (1 - _KEEP) * _train_step(model, optimizer, alphabet, plan, length, rng, globals_on)
            step, steps = step + 1, steps + 1
            if step % 100 == 0:
                logger.info("%d tokens, step %d: %.3f right", length, step, right)
        stages.append({"tokens": length, "steps": step, "right": round(right, 4)})
        logger.info("%d tokens: %.3f right after %d steps", length, right, step)
    return {
        "plan": asdict(plan),
        "stages": stages,
        "steps": steps,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def _train_step(
    model: LongformerForTokenClassification,
    optimizer: torch.optim.Optimizer,
    alphabet: Alphabet,
    plan: Plan,
    length: int,
    rng: np.random.Generator,
    globals_on: bool,
) -> float:
    """One step; the share of right answers before it."""
    questions = questions_at(length)
    most = min(alphabet.keys, length // 4)
    pairs = int(np.exp(rng.uniform(np.log(max(2, most // plan.spread)), np.log(most + 1))))
    documents = alphabet.draw(rng, max(1, plan.tokens // length), length, questions, pairs)
    outputs = model(**inputs(documents, globals_on), labels=labels(documents))
    outputs.loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    chosen = outputs.logits[:, :questions].argmax(-1).numpy()
    return float((chosen == documents.answers).mean())
