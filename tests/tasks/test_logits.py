"""Probabilities from logits of any size."""

import numpy as np
import pytest

from longspan.tasks.logits import sigmoid, softmax


def test_probabilities_of_ordinary_logits():
    logits = np.array([[0.0, np.log(3)], [2.0, 2.0]])
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_allclose(sigmoid(logits), 1 / (1 + np.exp(-logits)))


@pytest.mark.filterwarnings("error")
def test_large_logits_do_not_overflow():
    assert softmax(np.array([1e4, 0.0, -1e4])).tolist() == [1.0, 0.0, 0.0]
    assert sigmoid(np.array([1e4, 0.0, -1e4])).tolist() == [1.0, 0.5, 0.0]


def test_no_logits_have_no_probabilities():
    assert softmax(np.empty(0)).tolist() == [] and softmax(np.empty((3, 0))).shape == (3, 0)
