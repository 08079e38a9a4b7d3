"""The oracle itself, against the definition written as loops over tokens."""

import pytest
import torch

from tests._support import error
from tests.ops.window.cases import assert_same, ids, make, marks, naive

CASES = {
    "one token": make(1, 1, (2, 2)),
    "symmetric": make(2, 9, (2, 2)),
    "asymmetric": make(1, 9, (3, 1)),
    "causal": make(1, 9, (2, 0)),
    "itself only": make(1, 5, (0, 0)),
    "longer than the row": make(1, 7, (20, 20)),
    "dilated": make(1, 11, (2, 1), dilation=3),
    "dilated by head": make(1, 9, (1, 2), heads=3, dilation=[1, 2, 4]),
    "scale": make(1, 6, (1, 1), scale=0.3),
    "padding and documents": make(2, 9, (2, 2), segment_ids=ids("..0001122", "0120121..")),
    "all padding": make(2, 4, (1, 1), segment_ids=ids("....", "0000")),
    "globals": make(2, 8, (1, 1), global_mask=marks("#......#", "........"), segment_ids=ids("0000.111", "00000000")),
    "all global": make(1, 5, (1, 1), global_mask=marks("#####")),
    "projections": make(
        2, 8, (1, 0), hidden=6, global_mask=marks("#..#..#.", ".#......"), segment_ids=ids("0000111.", ".0000000")
    ),
    "projections, dilated": make(1, 8, (1, 1), hidden=6, dilation=2, global_mask=marks("..#....#")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equals_the_definition(name):
    inputs = CASES[name]
    found = inputs.call(backend="reference", return_lse=True)
    assert_same(list(found), list(naive(inputs)), 1e-13)


def test_gradients_are_those_of_the_definition():
    inputs = make(
        2, 6, (1, 2), heads=1, size=2, hidden=3, dilation=2,
        global_mask=marks("#.....", "...#.#"), segment_ids=ids("000.11", "001100"),
    )  # fmt: skip
    leaves = [x.clone().requires_grad_() for x in (*inputs.attended, *inputs.projected)]
    assert torch.autograd.gradcheck(lambda *x: inputs.call(x[:3], x[3:], backend="reference"), leaves)


def test_naive_form_tells_a_wrong_window_apart():
    inputs = make(1, 9, (2, 1))
    assert error(inputs.call(backend="reference", window_size=(1, 2)), naive(inputs)[0]) > 0.1
