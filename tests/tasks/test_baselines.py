"""The two baselines find what they are made for."""

import pytest

from longspan.tasks.baselines import SentenceClassifier, find_by_pattern, sentence_labels
from longspan.tasks.passages import Passage

TEXT = (
    "SUPPLY AGREEMENT\n\nThis Supply Agreement is made on May 8, 2014, effective as of June 1, 2014, by and between "
    'Alpha Widgets, Inc. ("Alpha") and Beta Parts Ltd. ("Beta").\n\n'
    "9. Law. This Agreement shall be governed by the laws of Ohio. The rest is silence."
)


def test_patterns():
    found = {(p.category, TEXT[p.start : p.end]) for p in find_by_pattern(TEXT)}
    assert {
        ("Document Name", "SUPPLY AGREEMENT"),
        ("Agreement Date", "May 8, 2014"),
        ("Effective Date", "June 1, 2014"),
        ("Parties", "Alpha"),
        ("Parties", "Beta"),
        ("Parties", "Alpha Widgets, Inc."),
        ("Governing Law", "This Agreement shall be governed by the laws of Ohio."),
    } <= found


def test_patterns_find_nothing_in_nothing():
    assert find_by_pattern("") == []


def test_sentence_labels_follow_either_half():
    sentences = [(0, 10), (10, 100)]
    passages = [Passage("A", 0, 6), Passage("B", 20, 24), Passage("C", 8, 60), Passage("D", 0, 5)]
    assert sentence_labels(sentences, passages, ["A", "B", "C"]).tolist() == [
        [True, False, False],
        [False, True, True],
    ]


def test_the_classifier_learns_and_is_tuned():
    pytest.importorskip("sklearn")
    documents = []
    for i in range(12):
        law = f"This contract obeys the law of state {i}."
        text = f"Some words come first. {law} Other words come after it."
        documents.append((text, [Passage("Law", text.index(law), text.index(law) + len(law))]))
    model = SentenceClassifier(["Law"]).fit(documents[:8]).tune(documents[8:10])
    assert 0.05 <= model.thresholds["Law"] <= 0.95
    for text, gold in documents[10:]:
        assert [(p.start, p.end) for p in model.find(text)] == [(g.start, g.end) for g in gold]
    assert model.find("") == []
