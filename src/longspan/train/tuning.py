"""Decoding rules chosen on the validation part."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from longspan.tasks.decoding import find_passages, limit_passages
from longspan.tasks.document import Document
from longspan.tasks.passages import Passage, Score, match
from longspan.tasks.rules import POOLS, Rule

Example = tuple[Document, Mapping[str, np.ndarray], Sequence[Passage]]
"""A document, its `normalize`d probabilities with the insides pooled over words, its gold passages."""

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
LIMITS = ((None, False), (1, False), (1, True))
"""`limit` and `earliest` of the rules that are tried."""
NEIGHBOURS = np.array([1, 2, 3, 4, 3, 2, 1]) / 16
"""Weights of a threshold and its neighbours; see `tune_rule`."""


def candidates() -> Iterator[Rule]:
    """Every kind of rule but its threshold and limit, simple ones first."""
    for split in (None, 0.3):
        for unit, gap in itertools.product(("tokens", "snap"), (0, 1, 4)):
            yield Rule(unit=unit, extend=0.5, gap=gap, split=split)
        for pool in POOLS:
            yield Rule(unit="sentences", join=True, split=split, pool=pool)
    for pool in POOLS:
        yield Rule(unit="sentences", join=False, split=None, pool=pool)


def tune_rule(category: str, examples: Sequence[Example]) -> tuple[Rule, Score]:
    """The rule with the best F1 of one category, and its score.

    The F1 of a threshold is averaged with those of its neighbours before the best is taken: a peak that a few passages
    make would not come back on other contracts. Ties go to the earlier, simpler candidate.
    """
    best: tuple[float, Rule, Score] | None = None
    for shape in candidates():
        rules = [[replace(shape, threshold=t, limit=n, earliest=e) for n, e in LIMITS] for t in THRESHOLDS]
        scores = [_score(category, row, examples) for row in rules]
        for variant in range(len(LIMITS)):
            f1 = np.pad([row[variant].f1 for row in scores], len(NEIGHBOURS) // 2, mode="edge")
            smooth = np.convolve(f1, NEIGHBOURS, mode="valid")
            i = int(smooth.argmax())
            if best is None or smooth[i] > best[0] + 1e-9:
                best = (float(smooth[i]), rules[i][variant], scores[i][variant])
    assert best is not None
    return best[1], best[2]


def tune(categories: Sequence[str], examples: Sequence[Example]) -> tuple[dict[str, Rule], dict[str, Score]]:
    """`tune_rule` for each category."""
    tuned = {category: tune_rule(category, examples) for category in categories}
    return {c: rule for c, (rule, _) in tuned.items()}, {c: score for c, (_, score) in tuned.items()}


def score_examples(rules: Mapping[str, Rule], examples: Sequence[Example]) -> dict[str, Score]:
    """Scores of fixed rules."""
    return {category: _score(category, [rule], examples)[0] for category, rule in rules.items()}


def _score(category: str, rules: Sequence[Rule], examples: Sequence[Example]) -> list[Score]:
    """Scores of rules that differ in their limits only."""
    totals = [Score(0, 0, 0)] * len(rules)
    for document, probabilities, passages in examples:
        gold = [p for p in passages if p.category == category]
        pair = probabilities[category]
        found = find_passages(category, pair[:, 0], pair[:, 1], document, rules[0])
        for i, rule in enumerate(rules):
            kept = limit_passages(found, rule)
            totals[i] = totals[i] + Score(len(match(kept, gold)), len(kept), len(gold))
    return totals
