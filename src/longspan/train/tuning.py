"""Decoding rules chosen on the validation part."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from longspan.tasks.cuad import CATEGORIES
from longspan.tasks.decoding import find_passages, limit_passages
from longspan.tasks.document import Document
from longspan.tasks.passages import Passage, Score, match
from longspan.tasks.rules import Rule

GROUPS = (CATEGORIES[:1], CATEGORIES[1:2], CATEGORIES[2:7], CATEGORIES[7:])
"""The title, the parties, what a contract has once (dates, term, law), and clauses of which it may have several."""

Example = tuple[Document, Mapping[str, np.ndarray], Sequence[Passage]]
"""A document, its `normalize`d probabilities with the insides pooled over words, its gold passages."""

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
LIMITS = ((None, False), (1, False), (1, True))
"""`limit` and `earliest` of the rules that are tried."""
NEIGHBOURS = np.array([1, 2, 3, 4, 3, 2, 1]) / 16
"""Weights of a threshold and its neighbours; see `tune_group`."""


def finders() -> Iterator[Rule]:
    """Every way to find passages but its threshold, simple ones first; none limits their number."""
    for split in (None, 0.3):
        for unit, gap in itertools.product(("tokens", "snap"), (0, 1, 4)):
            yield Rule(unit=unit, extend=0.5, gap=gap, split=split)
        yield Rule(unit="sentences", join=True, split=split)
    yield Rule(unit="sentences", join=False, split=None)


def tune_group(categories: Sequence[str], examples: Sequence[Example]) -> dict[str, tuple[Rule, Score]]:
    """Rules that differ in their thresholds only, with the best mean F1 of a group of categories, and their scores.

    A few dozen documents tell thresholds apart, but not the kinds of rules for each category alone. For the same reason
    the F1 of a threshold is averaged with those of its neighbours before the best is taken: a peak that a few passages
    make would not come back on other contracts. Ties go to the earlier, simpler candidate.
    """
    best: dict[str, tuple[Rule, Score]] = {}
    best_mean = -1.0
    for finder in finders():
        scored = {category: _score_limits(category, finder, examples) for category in categories}
        for number in range(len(LIMITS)):
            tuned, smooth = {}, []
            for category, table in scored.items():
                f1 = np.pad([scores[number][1].f1 for scores in table], len(NEIGHBOURS) // 2, mode="edge")
                means = np.convolve(f1, NEIGHBOURS, mode="valid")
                i = int(means.argmax())
                tuned[category] = table[i][number]
                smooth.append(float(means[i]))
            if np.mean(smooth) > best_mean + 1e-9:
                best, best_mean = tuned, float(np.mean(smooth))
    return best


def tune(groups: Iterable[Sequence[str]], examples: Sequence[Example]) -> tuple[dict[str, Rule], dict[str, Score]]:
    """`tune_group` for each group: rules and scores of all categories."""
    tuned = {category: pair for group in groups for category, pair in tune_group(group, examples).items()}
    return {c: rule for c, (rule, _) in tuned.items()}, {c: score for c, (_, score) in tuned.items()}


def score_examples(rules: Mapping[str, Rule], examples: Sequence[Example]) -> dict[str, Score]:
    """Scores of fixed rules."""
    return {category: _score(category, rule, [rule], examples)[0][1] for category, rule in rules.items()}


def _score_limits(category: str, finder: Rule, examples: Sequence[Example]) -> list[list[tuple[Rule, Score]]]:
    """Rules and scores of a finder, by threshold and limit."""
    table = []
    for threshold in THRESHOLDS:
        rule = replace(finder, threshold=threshold)
        limited = [replace(rule, limit=limit, earliest=earliest) for limit, earliest in LIMITS]
        table.append(_score(category, rule, limited, examples))
    return table


def _score(
    category: str, finder: Rule, limited: Sequence[Rule], examples: Sequence[Example]
) -> list[tuple[Rule, Score]]:
    """Rules that differ from `finder` in their limit only, so that passages are found once, and their scores."""
    totals = [Score(0, 0, 0)] * len(limited)
    for document, probabilities, passages in examples:
        gold = [p for p in passages if p.category == category]
        pair = probabilities[category]
        found = find_passages(category, pair[:, 0], pair[:, 1], document, finder)
        for i, rule in enumerate(limited):
            kept = limit_passages(found, rule)
            totals[i] = totals[i] + Score(len(match(kept, gold)), len(kept), len(gold))
    return list(zip(limited, totals, strict=True))
