"""Mean and spread of labels that pass by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks.examples import Source, TextExample
from longspan.tasks.moments import Moments


def examples(labels):
    return [TextExample("1", Source("f"), "a", None, label) for label in labels]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_they_are_those_of_the_numbers(numbers):
    moments, given = Moments(), examples(numbers)
    assert list(moments.watch(given)) == given
    mean, deviation = moments.result()
    assert mean == pytest.approx(np.mean(numbers), abs=1e-6)
    assert deviation == pytest.approx(np.std(numbers), rel=1e-6, abs=1e-6) or np.std(numbers) < 1e-6


def test_what_is_no_number_is_left_out():
    moments = Moments()
    list(moments.watch(examples([1.0, "3.0", "high", None, ("1", "2"), ""])))
    assert moments.result() == (2.0, 1.0)


def test_numbers_that_do_not_differ_have_a_deviation_of_one():
    moments = Moments()
    list(moments.watch(examples(["2.5", 2.5])))
    assert moments.result() == (2.5, 1.0)
