"""Decoding rules chosen on the validation part."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from longspan.tasks.decoding import Document, Rule, decode_category
from longspan.tasks.passages import Passage, Score, score_text

Example = tuple[Document, Mapping[str, np.ndarray], Sequence[Passage]]
"""A document, its `normalize`d probabilities, its gold passages."""

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 19))


def candidates() -> Iterator[Rule]:
    """Every kind of rule but its threshold."""
    for limit, split in itertools.product((None, 1), (None, 0.2, 0.4)):
        for unit, extend, gap in itertools.product(("tokens", "snap"), (0.5, 1.0), (1, 4)):
            yield Rule(unit=unit, extend=extend, gap=gap, split=split, limit=limit)
        yield Rule(unit="sentences", join=True, split=split, limit=limit)
    for limit in (None, 1):
        yield Rule(unit="sentences", join=False, split=None, limit=limit)


def tune_rule(category: str, examples: Sequence[Example]) -> tuple[Rule, Score]:
    """The rule with the best F1 of one category, and its score.

    The F1 of a threshold is averaged with those of its two neighbours before the best is taken: a peak that a few
    passages make would not come back on other contracts. Ties go to the earlier, simpler candidate.
    """
    best: tuple[float, Rule, Score] | None = None
    for shape in candidates():
        scores = [_score(category, dataclasses.replace(shape, threshold=t), examples) for t in THRESHOLDS]
        f1 = np.array([s.f1 for s in scores])
        padded = np.pad(f1, 1, mode="edge")
        smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        i = int(smooth.argmax())
        if best is None or smooth[i] > best[0] + 1e-9:
            best = (float(smooth[i]), dataclasses.replace(shape, threshold=THRESHOLDS[i]), scores[i])
    assert best is not None
    return best[1], best[2]


def tune(categories: Sequence[str], examples: Sequence[Example]) -> tuple[dict[str, Rule], dict[str, Score]]:
    """`tune_rule` for each category."""
    tuned = {category: tune_rule(category, examples) for category in categories}
    return {c: rule for c, (rule, _) in tuned.items()}, {c: score for c, (_, score) in tuned.items()}


def score_examples(rules: Mapping[str, Rule], examples: Sequence[Example]) -> dict[str, Score]:
    """Scores of fixed rules."""
    return {category: _score(category, rule, examples) for category, rule in rules.items()}


def _score(category: str, rule: Rule, examples: Sequence[Example]) -> Score:
    total = Score(0, 0, 0)
    for document, probabilities, gold in examples:
        pair = probabilities[category]
        found = decode_category(category, pair[:, 0], pair[:, 1], document, rule)
        total = total + score_text(found, gold, [category])[category]
    return total
