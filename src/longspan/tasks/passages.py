"""Passages of a text, and how predicted passages are scored against marked ones.

Offsets are code points of the text as Python counts them: ``text[start:end]`` is the passage. A predicted passage
counts when its intersection over union with one gold passage of the same category is at least 0.5; every gold passage
is used once, and the pairing is the one with the most pairs (maximum bipartite matching, so the order of predictions
is irrelevant).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MIN_OVERLAP = 0.5


@dataclass(frozen=True)
class Passage:
    """One labelled stretch of a text.

    category: the label. start, end: code points, end excluded. score: confidence between 0 and 1 (1 for gold).
    """

    category: str
    start: int
    end: int
    score: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a passage needs 0 <= start < end, got start={self.start}, end={self.end}")


@dataclass(frozen=True)
class Score:
    """Counts and rates of one category. The rates are 0 where their denominator is 0."""

    matched: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        return self.matched / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.matched / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        total = self.predicted + self.gold
        return 2 * self.matched / total if total else 0.0

    def __add__(self, other: Score) -> Score:
        return Score(self.matched + other.matched, self.predicted + other.predicted, self.gold + other.gold)


def iou(a: Passage, b: Passage) -> float:
    """Characters shared by two passages over characters of either; 0 when they are apart."""
    shared = min(a.end, b.end) - max(a.start, b.start)
    if shared <= 0:
        return 0.0
    return shared / (max(a.end, b.end) - min(a.start, b.start))


def match(
    predicted: Sequence[Passage], gold: Sequence[Passage], min_overlap: float = MIN_OVERLAP
) -> list[tuple[int, int]]:
    """Pair predictions with gold passages one to one; as many pairs as possible.

    Args:
        predicted: passages of one category in one text.
        gold: the marked passages of the same category and text.
        min_overlap: the least intersection over union of a pair.

    Returns:
        Pairs (index into predicted, index into gold), sorted by the first.
    """
    edges = [[j for j, g in enumerate(gold) if iou(p, g) >= min_overlap] for p in predicted]
    owner: dict[int, int] = {}

    def augment(i: int, seen: set[int]) -> bool:
        # Kuhn's algorithm: give i a free gold passage, moving earlier owners to another one where they have one.
        for j in edges[i]:
            if j in seen:
                continue
            seen.add(j)
            if j not in owner or augment(owner[j], seen):
                owner[j] = i
                return True
        return False

    for i in range(len(predicted)):
        augment(i, set())
    return sorted((i, j) for j, i in owner.items())


def score_text(predicted: Iterable[Passage], gold: Iterable[Passage], categories: Iterable[str]) -> dict[str, Score]:
    """Counts of one text, per category; passages of other categories are ignored."""
    predicted, gold = list(predicted), list(gold)
    scores = {}
    for category in categories:
        p = [x for x in predicted if x.category == category]
        g = [x for x in gold if x.category == category]
        scores[category] = Score(len(match(p, g)), len(p), len(g))
    return scores


def score_texts(
    pairs: Iterable[tuple[Iterable[Passage], Iterable[Passage]]], categories: Sequence[str]
) -> dict[str, Score]:
    """Counts summed over texts; `pairs` yields (predicted, gold) of each text."""
    total = {category: Score(0, 0, 0) for category in categories}
    for predicted, gold in pairs:
        for category, score in score_text(predicted, gold, categories).items():
            total[category] = total[category] + score
    return total


def mean_f1(scores: Mapping[str, Score]) -> float:
    """The unweighted mean of the categories' F1."""
    if not scores:
        raise ValueError("mean_f1 needs at least one category, got an empty mapping")
    return sum(score.f1 for score in scores.values()) / len(scores)
