"""Rules chosen on documents whose best rule is known."""

import re

import numpy as np

from longspan.tasks.document import Document
from longspan.tasks.passages import Passage
from longspan.train.tuning import score_examples, tune, tune_rule

TEXT = "Alpha Inc. and Beta Corp. met. One clause follows here. " + "Nothing else matters now. " * 5
WORDS = np.array([m.span() for m in re.finditer(r"\w+|[^\w\s]", TEXT)])


def example(marked, value, noise=0.0):
    """A document whose tokens in the marked pieces have a probability of `value`, and the others of `noise`."""
    passages = [Passage("X", TEXT.index(piece), TEXT.index(piece) + len(piece)) for piece in marked]
    inside = np.full(len(WORDS), noise)
    for p in passages:
        inside[(WORDS[:, 0] >= p.start) & (WORDS[:, 1] <= p.end)] = value
    return Document.build(TEXT, WORDS), {"X": np.stack([inside, np.zeros(len(WORDS))], axis=1)}, passages


def test_neighbours_one_token_apart_stay_apart():
    rule, score = tune_rule("X", [example(["Alpha Inc", "and Beta Corp"], 0.9)] * 2)
    assert score.f1 == 1 and rule.unit == "tokens" and rule.gap == 0


def test_the_threshold_keeps_its_distance_from_noise():
    examples = [example(["One clause follows here."], value, noise=0.3) for value in (0.7, 0.8, 0.9)]
    rule, score = tune_rule("X", examples)
    assert score.f1 == 1
    # At 0.3 there is noise, above 0.7 a passage is lost.
    assert 0.4 < rule.threshold < 0.7


def test_one_likely_token_is_enough_for_a_sentence():
    document, probabilities, passages = example(["One clause follows here."], 0.0)
    probabilities["X"][np.flatnonzero(WORDS[:, 0] == TEXT.index("clause")), 0] = 0.8
    rules, scores = tune(["X"], [(document, probabilities, passages)] * 2)
    assert scores["X"].f1 == 1
    assert rules["X"].unit == "sentences" and rules["X"].pool == "max"
    assert score_examples(rules, [(document, probabilities, passages)])["X"].matched == 1
