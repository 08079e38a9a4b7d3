"""Figures of labels against their definitions, written out."""

import math
import random

import pytest

from longspan.tasks.label_scores import SCORES, score_class_sets, score_classes, score_numbers


def f1(hits, said, there):
    return 2 * hits / (said + there) if said + there else 0.0


@pytest.mark.parametrize("n", [2, 4])
def test_classes(n):
    random.seed(n)
    gold, said = ([random.randrange(n) for _ in range(50)] for _ in range(2))
    pairs = list(zip(gold, said, strict=True))
    accuracy = sum(g == s for g, s in pairs) / 50
    each = [f1(pairs.count((c, c)), said.count(c), gold.count(c)) for c in range(n)]
    found = score_classes(gold, said, n)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["f1_micro"] == pytest.approx(accuracy)
    assert found["f1_macro"] == pytest.approx(sum(each) / n)
    assert set(found) == set(SCORES["single"]) - ({"f1"} if n > 2 else set())
    if n == 2:
        tp, fp, fn, tn = (pairs.count(pair) for pair in ((1, 1), (0, 1), (1, 0), (0, 0)))
        bottom = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        assert found["f1"] == pytest.approx(each[1])
        assert found["matthews"] == pytest.approx((tp * tn - fp * fn) / bottom)


def test_one_class_only_is_no_fault():
    assert score_classes([1, 1], [1, 1], 2) == {
        "accuracy": 1.0,
        "f1": 1.0,
        "f1_macro": 1.0,
        "f1_micro": 1.0,
        "matthews": 0.0,
    }
    assert score_classes([0, 0], [0, 0], 2)["f1"] == 0.0


def test_class_sets():
    gold = [[0, 1], [], [2], [1]]
    said = [[1], [], [2, 0], [1]]
    found = score_class_sets(gold, said, 3)
    assert found["f1_micro"] == pytest.approx(f1(3, 4, 4))
    assert found["f1_macro"] == pytest.approx((f1(0, 1, 1) + f1(2, 2, 2) + f1(1, 1, 1)) / 3)
    assert found["accuracy"] == 0.5
    assert set(found) == set(SCORES["multi"])


def test_numbers():
    gold, said = [1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 9.0, 16.0]
    found = score_numbers(gold, said)
    mean, other = 2.5, 7.5
    top = sum((g - mean) * (s - other) for g, s in zip(gold, said, strict=True))
    bottom = math.sqrt(sum((g - mean) ** 2 for g in gold) * sum((s - other) ** 2 for s in said))
    assert found["pearson"] == pytest.approx(top / bottom)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["mse"] == pytest.approx((0 + 4 + 36 + 144) / 4)
    assert set(found) == set(SCORES["regression"])


@pytest.mark.parametrize(("gold", "said"), [([1, 2], [3, 3]), ([1, 1], [1, 2]), ([1], [2])])
def test_a_correlation_without_variation_is_nought(gold, said, recwarn):
    found = score_numbers(gold, said)
    assert found["pearson"] == found["spearman"] == 0.0
    assert not recwarn.list
