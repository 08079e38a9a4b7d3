"""Scoring of passages: overlap, one-to-one matching against brute force, counts."""

from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.tasks.passages import Passage, Score, iou, match, mean_f1, score_text, score_texts

SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 8)), max_size=5)


def passages(spans, category="A"):
    return [Passage(category, start, start + size) for start, size in spans]


def most_pairs(predicted, gold):
    """The largest number of pairs with enough overlap, by trying every injection."""
    small, large = sorted([predicted, gold], key=len)
    for size in range(len(small), 0, -1):
        for few in combinations(small, size):
            for order in permutations(large, size):
                if all(iou(a, b) >= 0.5 for a, b in zip(few, order, strict=True)):
                    return size
    return 0


@settings(max_examples=150, deadline=None)
@given(SPANS, SPANS)
def test_match_finds_as_many_pairs_as_brute_force(predicted, gold):
    predicted, gold = passages(predicted), passages(gold)
    pairs = match(predicted, gold)
    assert len(pairs) == most_pairs(predicted, gold)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(iou(predicted[i], gold[j]) >= 0.5 for i, j in pairs)


def test_match_moves_an_earlier_pair_where_that_makes_one_more():
    # The first prediction fits both gold passages, the second only the first.
    predicted = [Passage("A", 0, 10), Passage("A", 0, 6)]
    gold = [Passage("A", 0, 8), Passage("A", 4, 12)]
    assert iou(predicted[0], gold[1]) == 0.5
    assert match(predicted, gold) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [((0, 10), (0, 10), 1.0), ((0, 10), (5, 15), 1 / 3), ((0, 10), (10, 20), 0.0), ((0, 4), (0, 8), 0.5)],
)
def test_iou(a, b, expected):
    assert iou(Passage("A", *a), Passage("A", *b)) == pytest.approx(expected)


def test_categories_are_scored_apart():
    gold = [Passage("A", 0, 10), Passage("B", 0, 10)]
    scores = score_text([Passage("A", 0, 10), Passage("A", 20, 30), Passage("C", 0, 10)], gold, ["A", "B"])
    assert scores == {"A": Score(1, 2, 1), "B": Score(0, 0, 1)}
    assert scores["A"].precision == 0.5 and scores["A"].recall == 1.0 and scores["A"].f1 == pytest.approx(2 / 3)
    assert scores["B"].f1 == 0.0
    assert mean_f1(scores) == pytest.approx(1 / 3)


def test_texts_are_summed_before_the_rates():
    a, b = [Passage("A", 0, 10)], [Passage("A", 50, 60)]
    assert score_texts([(a, a), (a, b)], ["A"]) == {"A": Score(1, 2, 2)}


@pytest.mark.parametrize(("start", "end"), [(3, 3), (4, 2), (-1, 2)])
def test_an_impossible_range_is_refused(start, end):
    with pytest.raises(ValueError, match=f"start={start}, end={end}"):
        Passage("A", start, end)


def test_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one category"):
        mean_f1({})
