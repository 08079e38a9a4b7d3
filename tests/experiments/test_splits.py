from hypothesis import given
from hypothesis import strategies as st
from pytest import mark, raises

from experiments.splits import split


@given(size=st.integers(1, 60), data=st.data(), seed=st.text(max_size=5))
def test_the_parts_are_disjoint_whole_and_in_order(size, data, seed):
    held = data.draw(st.integers(0, size - 1))
    test = data.draw(st.integers(0, size - 1 - held))
    items = [f"item {i:02}" for i in range(size)]
    parts = split(items, held, test, seed)
    assert [len(part) for part in parts] == [size - held - test, held, test]
    assert sorted(item for part in parts for item in part) == items
    assert all(part == sorted(part) for part in parts)
    assert split(items, held, test, seed) == parts


def test_a_seed_draws_the_same_everywhere():
    """Written down: another Python or machine must not draw other parts."""
    assert split(range(10), 2, 3, "hyperpartisan 0")[1:] == ([3, 9], [2, 7, 8])
    assert split(range(10), 2, 3, "hyperpartisan 1")[1:] == ([6, 9], [3, 4, 8])


@mark.parametrize(("held", "test"), [(3, 2), (5, 0), (-1, 0)])
def test_training_keeps_something(held, test):
    with raises(ValueError, match=f"validation {held} and test {test} leave nothing of 5"):
        split(range(5), held, test, "")
