"""Which rows are read when: every row, the same ones however a step is dealt out, the same ones again."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.train.order import RowOrder, TrainingRows

small = st.integers(1, 5)


@given(rows=st.integers(1, 60), batch=small, accumulate=small, processes=small, epoch=st.integers(0, 3))
def test_steps_depend_on_the_product_only(rows, batch, accumulate, processes, epoch):
    whole = RowOrder(rows, batch * accumulate * processes, seed=3)
    parts = [RowOrder(rows, batch, accumulate, processes, process, seed=3) for process in range(processes)]
    for order in (whole, *parts):
        order.epoch = epoch
    expected = [sorted(step) for step in whole]
    dealt = [list(part) for part in parts]
    assert {len(x) for x in dealt} == {len(parts[0])} == {whole.steps * accumulate}
    found = [
        sorted(row for x in dealt for batch in x[i * accumulate : (i + 1) * accumulate] for row in batch)
        for i in range(whole.steps)
    ]
    assert found == expected
    assert all(len(batch) == parts[0].batch for x in dealt for batch in x)
    seen = Counter(row for step in expected for _, row in step)
    assert seen.keys() == set(range(rows)) and max(seen.values()) - min(seen.values()) <= 1
    assert {epoch} == {e for step in expected for e, _ in step}


def test_epochs_and_seeds_shuffle_anew():
    def rows(seed, epoch):
        order = RowOrder(40, 8, seed=seed)
        order.epoch = epoch
        return [row for batch in order for _, row in batch]

    assert rows(0, 1) == rows(0, 1)
    assert len({tuple(rows(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert rows(0, 0) != sorted(rows(0, 0))


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match="no row"):
        RowOrder(0, 4)


def test_a_row_carries_its_place():
    table = [{"x": i} for i in range(3)]
    assert TrainingRows(table)[(7, 2)] == {"x": 2, "epoch": 7, "row": 2}
    assert len(TrainingRows(table)) == 3 and table[2] == {"x": 2}


def test_numbers_are_plain():
    assert all(type(x) is int for batch in RowOrder(5, 2) for pair in batch for x in pair)
    assert np.ndim(next(iter(RowOrder(5, 2)))) == 2
