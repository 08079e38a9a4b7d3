"""The share that is held out: drawn by the seed, the same of every class, in one pass."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.train.holdout import MOST_CLASSES, Holdout


def draw(classes, share, seed=0):
    held = Holdout(share, seed)
    return [held(name) for name in classes]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=300), st.floats(0.01, 0.99), st.integers(0, 9))
def test_every_class_gives_its_share_up_to_one_example(classes, share, seed):
    drawn = Counter(name for name, held in zip(classes, draw(classes, share, seed), strict=True) if held)
    for name, count in Counter(classes).items():
        assert abs(drawn[name] - share * count) <= 1


def test_small_unbalanced_data_keeps_its_balance():
    """As the 645 articles of Hyperpartisan are: 238 of one class, 407 of the other."""
    classes = ["true"] * 238 + ["false"] * 407
    for seed in range(20):
        Random(seed).shuffle(classes)
        drawn = Counter(name for name, held in zip(classes, draw(classes, 0.1, seed), strict=True) if held)
        assert drawn["true"] in (23, 24, 25) and drawn["false"] in (40, 41)


@pytest.mark.parametrize("stratum", ["a", None])
def test_the_seed_decides(stratum):
    first, again, other = (draw([stratum] * 500, 0.1, seed) for seed in (3, 3, 4))
    assert first == again != other and 20 < sum(first) < 85


def test_every_example_has_the_same_chance():
    chosen = [sum(draw(["a"] * 25, 0.1, seed)[i] for seed in range(2000)) for i in (0, 9, 10, 24)]
    assert all(140 < count < 260 for count in chosen)


def test_a_class_is_drawn_by_itself():
    """What comes between the examples of a class does not matter to it."""
    alone = draw(["a"] * 50, 0.2)
    mixed = draw(["a", "b", None] * 50, 0.2)
    assert mixed[::3] == alone and mixed[1::3] != alone


def test_labels_without_end_are_drawn_without_classes():
    names = [str(i) for i in range(4 * MOST_CLASSES)]
    assert 0.08 < sum(draw(names, 0.1)) / len(names) < 0.12
    held = Holdout(0.1, 0)
    for name in names:
        held(name)
    assert len(held._classes) == MOST_CLASSES


@pytest.mark.parametrize("most", [10_000, 5])
def test_a_group_stays_together_wherever_its_examples_stand(monkeypatch, most):
    monkeypatch.setattr("longspan.train.holdout.MOST_GROUPS", most)
    groups = [f"document {i}" for i in range(100)] * 3
    Random(0).shuffle(groups)
    held = Holdout(0.1, 0)
    drawn = {(group, held("a", group)) for group in groups}
    assert len(drawn) == 100 and len(held._groups) == min(most, 100)
    count = sum(held_out for _, held_out in drawn)
    assert count == 10 if most > 100 else 2 < count < 20


def test_nothing_is_held_out_without_a_share():
    assert not Holdout(0.0, 0)("a", "group")
    assert not any(draw(["a", None] * 20, 0.0))
