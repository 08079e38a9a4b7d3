"""The harness: nothing is timed that was not checked, and ratios are taken repetition by repetition."""

import pytest
import torch

from benchmarks.measure import Contender, check, growth, ratios, spread, time_in_turn


def contender(name="a", value=1.0, **fields):
    fields.setdefault("expected", lambda: torch.ones(3))
    return Contender(name, lambda: torch.full((3,), value), against="ones", **fields)


def test_an_unchecked_contender_gets_no_speed():
    one, other = contender("one"), contender("other")
    check([one])
    with pytest.raises(RuntimeError, match="other was not checked"):
        time_in_turn([one, other], 1)
    assert not one.seconds and not other.seconds


def test_a_contender_that_promises_nothing_is_refused():
    with pytest.raises(ValueError, match="needs expected or shape"):
        check([contender(expected=None)])


@pytest.mark.parametrize("value", [1.01, float("nan"), float("inf")])
def test_a_wrong_output_raises(value):
    wrong = contender("wrong", value)
    with pytest.raises(RuntimeError, match=r"wrong.*no speed"):
        check([wrong])
    assert not wrong.checked


def test_a_wrong_shape_raises():
    for expected, shape in ((lambda: torch.ones(4), None), (None, (4,))):
        with pytest.raises(RuntimeError, match=r"shape \(3,\), not \(4,\)"):
            check([contender(expected=expected, shape=shape)])


def test_without_a_second_implementation_the_output_has_to_be_finite():
    right = contender(expected=None, shape=(3,))
    check([right])
    assert right.checked and right.error is None
    with pytest.raises(RuntimeError, match="not finite"):
        check([contender(value=float("nan"), expected=None, shape=(3,))])


def test_the_outcome_is_checked_where_it_is_not_the_output():
    wrong = contender(outcome=lambda: torch.zeros(3))
    with pytest.raises(RuntimeError, match="differs from ones"):
        check([wrong])
    close = contender(value=1.004, tolerance=1e-2)
    check([close])
    assert close.error == pytest.approx(0.004, rel=1e-3)


def test_only_an_optional_contender_may_fail_to_run():
    def fail():
        raise NotImplementedError("needs another device\nand more")

    with pytest.raises(NotImplementedError):
        check([Contender("strict", fail, shape=(3,))])
    optional, other = Contender("optional", fail, shape=(3,), optional=True), contender()
    check([optional, other])
    time_in_turn([optional, other], 2)
    assert optional.skipped == "NotImplementedError: needs another device"
    assert not optional.seconds and len(other.seconds) == len(other.cpu_seconds) == 2
    assert ratios(optional, other) == []


def test_contenders_run_in_turn():
    calls = []
    contenders = [Contender(name, lambda name=name: calls.append(name), shape=(), checked=True) for name in "abc"]
    time_in_turn(contenders, 20)
    rounds = [tuple(calls[i : i + 3]) for i in range(0, 60, 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds)
    assert len(set(rounds)) > 1, "always the same order"


def test_ratios_pair_the_repetitions():
    slow, fast = contender(), contender()
    slow.seconds, fast.seconds = [2.0, 40.0, 6.0], [1.0, 10.0, 2.0]
    assert ratios(slow, fast) == [2.0, 4.0, 3.0]
    assert spread(ratios(slow, fast)) == {"median": 3.0, "low": 2.5, "high": 3.5}
    assert spread([7.0]) == {"median": 7.0, "low": 7.0, "high": 7.0}


def test_growth_compares_the_same_two_lengths_in_every_repetition():
    short, middle, long = contender(), contender(), contender()
    short.seconds, middle.seconds, long.seconds = [1.0, 1.0, 1.0], [2.0, 2.2, 2.2], [4.8, 4.8, 3.6]
    # cost per token: 1, 1, 1 / 1, 1.1, 1.1 / 1.2, 1.2, 0.9: by the medians 1 is the smallest and 1.2 the largest
    assert growth([short, middle, long], [1, 2, 4]) == pytest.approx([1.2, 1.2, 0.9])


def test_growth_does_not_take_a_slow_minute_for_a_slow_length():
    short, middle, long = contender(), contender(), contender()
    # the machine slows down threefold after three repetitions, one too early for the short pass
    short.seconds, middle.seconds, long.seconds = (
        [1.0, 1.0, 3.0, 3.0, 3.0],
        [2.2] * 3 + [6.6] * 2,
        [4.0] * 3 + [12.0] * 2,
    )
    found = growth([short, middle, long], [1, 2, 4])
    # by its median time the short one would be the dearest; in four repetitions of five the middle one is
    assert found == pytest.approx([1.1, 1.1, 1.1 / 3, 1.1, 1.1]) and spread(found)["median"] == pytest.approx(1.1)
