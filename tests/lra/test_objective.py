"""Batches in an order of their own, and scores of all rows or of some that are spread evenly."""

import numpy as np
import pytest
import torch
from torch import nn

from longspan.lra.objective import RowLabels, evaluate, make_batch, make_optimizer
from longspan.lra.protocols import make_settings
from longspan.lra.rows import Rows, write_rows


class Echo(nn.Module):
    """Says the class that a row's first id names."""

    def __init__(self, **changes):
        super().__init__()
        self.settings = make_settings("listops", "nystromformer", {"batch": 4, **changes})
        self.weight = nn.Parameter(torch.ones(2, 2))
        self.bias = nn.Parameter(torch.zeros(2))
        self.seen = []

    def forward(self, ids):
        self.seen.append(ids)
        return nn.functional.one_hot(ids[:, 0] - 1, 2) * self.weight.diag() + self.bias


@pytest.fixture
def rows(tmp_path):
    """Ten rows, the first five of class 0, of which the third is told wrong."""
    told = [1, 1, 2, 1, 1, 2, 2, 2, 2, 2]
    content = (([[first] + [3] * i], int(i >= 5)) for i, first in enumerate(told))
    write_rows(tmp_path / "rows", content, documents=1, vocabulary=4, about={})
    return Rows(tmp_path / "rows")


def test_a_batch_is_as_long_as_its_longest_row(rows):
    ids, labels = make_batch(rows, [0, 7, 2], torch.device("cpu"))
    assert ids.shape == (3, 8) and ids.dtype == labels.dtype == torch.int64
    assert ids[0].tolist() == [1] + [0] * 7 and labels.tolist() == [0, 1, 0]


def test_every_row_of_an_epoch_comes_once_and_the_order_is_of_the_seed(rows):
    def lengths(seed, steps):
        model = Echo(batch=5)
        objective = RowLabels(model, rows, seed)
        for step in steps:
            objective(step)
        return [(ids != 0).sum(1).tolist() for ids in model.seen]

    first = lengths(0, range(4))
    assert sorted(first[0] + first[1]) == sorted(first[2] + first[3]) == list(range(1, 11))
    assert first[:2] != first[2:] and lengths(1, range(4)) != first
    assert lengths(0, [3, 0]) == [first[3], first[0]]  # a step needs none before it


def test_scores_of_all_rows_and_of_some(rows):
    told = []
    assert evaluate(Echo(), rows, 0, lambda *at: told.append(at))["accuracy"] == 0.9
    assert told == [(4, 10), (8, 10), (10, 10)]
    model = Echo()
    assert evaluate(model, rows, 4)["accuracy"] == 0.75
    lengths = torch.cat([(ids != 0).sum(1) for ids in model.seen]) - 1
    assert lengths.tolist() == [0, 2, 5, 7]  # both classes, though the file is sorted
    assert evaluate(Echo(), rows, 99)["accuracy"] == 0.9
    assert np.isclose(evaluate(Echo(), rows)["loss"], 0.9 * np.log1p(np.exp(-1)) + 0.1 * np.log1p(np.exp(1)))


def test_matrices_are_decayed_and_biases_are_not():
    model = Echo()
    made = make_optimizer(model, lr=0.1, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.5)
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    assert decays == {id(model.weight): 0.5, id(model.bias): 0.0}
