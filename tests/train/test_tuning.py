"""Rules chosen on documents whose best rule is known."""

import re

import numpy as np

from longspan.tasks.cuad import CATEGORIES
from longspan.tasks.document import Document
from longspan.tasks.passages import Passage
from longspan.train.tuning import GROUPS, score_examples, tune, tune_group

TEXT = "Alpha Inc. and Beta Corp. met. One clause follows here. " + "Nothing else matters now. " * 5
WORDS = np.array([m.span() for m in re.finditer(r"\w+|[^\w\s]", TEXT)])
NAMES, CLAUSE = ["Alpha Inc", "and Beta Corp"], ["One clause follows here."]


def example(value, noise=0.0, **marked):
    """A document whose tokens in the marked pieces have a probability of `value`, and the others of `noise`."""
    probabilities, passages = {}, []
    for category, pieces in marked.items():
        inside = np.full(len(WORDS), noise)
        for piece in pieces:
            p = Passage(category, TEXT.index(piece), TEXT.index(piece) + len(piece))
            inside[(WORDS[:, 0] >= p.start) & (WORDS[:, 1] <= p.end)] = value
            passages.append(p)
        probabilities[category] = np.stack([inside, np.zeros(len(WORDS))], axis=1)
    return Document.build(TEXT, WORDS), probabilities, passages


def test_neighbours_one_token_apart_stay_apart():
    ((rule, score),) = tune_group(["X"], [example(0.9, X=NAMES)] * 2).values()
    assert score.f1 == 1 and rule.unit == "tokens" and rule.gap == 0


def test_the_threshold_keeps_its_distance_from_noise():
    examples = [example(value, noise=0.3, X=CLAUSE) for value in (0.7, 0.8, 0.9)]
    ((rule, score),) = tune_group(["X"], examples).values()
    assert score.f1 == 1
    # At 0.3 there is noise, above 0.7 a passage is lost.
    assert 0.4 < rule.threshold < 0.7


def test_a_group_shares_its_rule_but_for_the_threshold():
    low, high = example(0.4, noise=0.05, X=NAMES), example(0.95, noise=0.4, Y=CLAUSE)
    document = low[0], low[1] | high[1], low[2] + high[2]
    rules, scores = tune([["X", "Y"]], [document] * 2)
    assert scores["X"].f1 == scores["Y"].f1 == 1
    assert rules["X"].gap == rules["Y"].gap == 0 and rules["X"].unit == rules["Y"].unit == "tokens"
    assert rules["X"].threshold < rules["Y"].threshold
    assert {c: s.f1 for c, s in score_examples(rules, [document]).items()} == {"X": 1, "Y": 1}


def test_every_category_is_in_one_group():
    assert [c for group in GROUPS for c in group] == list(CATEGORIES)
