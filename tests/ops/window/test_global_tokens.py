"""Global tokens: any number of them, with and without projections of their own, folded or not."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from longspan.ops import GlobalStates
from longspan.ops.window import projected_rows
from tests._support import error
from tests.ops.window.cases import (
    NAMES,
    Inputs,
    assert_same,
    check,
    evaluate,
    ids,
    make,
    marks,
    random_globals,
    random_ids,
)

KEY_BIAS = NAMES.index("key_bias")


@pytest.mark.parametrize("window", [(1, 1), (3, 0), (30, 30)], ids=str)
@pytest.mark.parametrize("hidden", [0, 5])
def test_every_number_of_globals_another_in_each_row(window, hidden, nan_filled):
    length = 13
    for count in range(length + 1):
        counts = torch.tensor([[count], [length - count], [count // 2]])
        order = torch.rand(3, length, generator=torch.Generator().manual_seed(count)).argsort(1)
        check(make(3, length, window, size=3, hidden=hidden, global_mask=order < counts))


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("window", [(4, 4), (80, 80)], ids=str)
def test_folded_and_plain_projections_agree(share, window, monkeypatch, nan_filled):
    options = {"hidden": 7, "global_mask": random_globals(2, 70, 4, share), "segment_ids": random_ids(2, 70, 3)}
    inputs = make(2, 70, window, **options)
    assert inputs.options["global_mask"].any()
    expected = evaluate(inputs, "reference")
    for folded in (True, False):
        monkeypatch.setattr(projected_rows, "_is_folded", lambda *_, folded=folded: folded)
        assert_same(evaluate(inputs), expected)


def test_few_globals_project_no_document(monkeypatch):
    """One global token: linear layers see its own row only, never the keys and values of all tokens."""
    rows, plain = [], F.linear

    def linear(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        rows.append(x.shape[0])
        return plain(x, *weights)

    monkeypatch.setattr(projected_rows.F, "linear", linear)
    for count, expected in ((1, {1}), (60, {60, 70})):
        rows.clear()
        inputs = make(1, 70, (4, 4), size=8, hidden=16, global_mask=(torch.arange(70) < count)[None])
        inputs.call()
        assert set(rows) == expected


@pytest.mark.parametrize("backend", ["sdpa", "reference"])
@pytest.mark.parametrize("global_mask", [None, marks("." * 20, "." * 20)], ids=["no mask", "no global token"])
def test_without_a_global_token_projections_have_zero_gradients(backend, global_mask):
    inputs = make(2, 20, (3, 3), hidden=6, global_mask=global_mask, segment_ids=ids("." * 20, "0" * 20))
    for x in evaluate(inputs, backend)[5:]:
        assert x.eq(0).all()
    assert_same(evaluate(inputs, backend)[:5], evaluate(replace(inputs, projected=()), backend))


def test_folded_key_bias_has_exactly_zero_gradient():
    inputs = make(2, 40, (3, 3), hidden=6, global_mask=random_globals(2, 40, 2, 0.05))
    assert evaluate(inputs)[KEY_BIAS].eq(0).all()
    assert error(evaluate(inputs, "reference")[KEY_BIAS], torch.zeros(8)) < 1e-12


@pytest.mark.parametrize("window", [(3, 3), (60, 60)], ids=str)
@pytest.mark.parametrize("backend", ["sdpa", "reference"])
def test_given_states_equal_projections(window, backend, nan_filled):
    options = {"hidden": 6, "global_mask": random_globals(2, 50, 2), "segment_ids": random_ids(2, 50, 3)}
    inputs = make(2, 50, window, **options)
    leaves = [x.clone().requires_grad_() for x in (*inputs.attended, *inputs.projected)]
    hidden, *weights = leaves[3:]
    states = GlobalStates(
        *(F.linear(hidden, w, b).unflatten(-1, (2, -1)) for w, b in zip(weights[::2], weights[1::2], strict=True))
    )
    context, lse = inputs.call(leaves[:3], global_projections=states, return_lse=True, backend=backend)
    grads = torch.autograd.grad(context, leaves, inputs.grad)
    assert_same([context, lse, *grads], evaluate(inputs, "reference"))


def test_states_without_a_global_token_have_zero_gradients():
    inputs = make(2, 20, (3, 3))
    states = [x.clone().requires_grad_() for x in inputs.attended]
    for backend in ("sdpa", "reference"):
        context = inputs.call(global_projections=GlobalStates(*states), backend=backend)
        assert all(x.eq(0).all() for x in torch.autograd.grad(context.sum(), states))


def test_a_global_token_sees_and_is_seen_by_its_segment_only():
    """The gradient of each token's context shows which tokens it depends on."""
    segment_ids, global_mask = ids("0000011111.."), marks("#.........#.")
    inputs = make(1, 12, (1, 1), segment_ids=segment_ids, global_mask=global_mask)

    def seen(backend: str) -> torch.Tensor:
        value = inputs.attended[2].clone().requires_grad_()
        context = inputs.call((*inputs.attended[:2], value), backend=backend)
        rows = [torch.autograd.grad(context[0, i].sum(), value, retain_graph=True)[0] for i in range(12)]
        return torch.stack([x[0].abs().sum((1, 2)) > 0 for x in rows])

    expected = torch.zeros(12, 12, dtype=torch.bool)
    for i in range(10):
        for j in range(10):
            expected[i, j] = i // 5 == j // 5 and (abs(i - j) <= 1 or i == 0 or j == 0)
    assert seen("sdpa").equal(expected) and seen("reference").equal(expected)


def test_global_key_inside_the_window_counts_once():
    """With equal keys every visible token has the same weight."""
    inputs = make(1, 9, (2, 2), global_mask=marks("....#...."))
    query, key, value = inputs.attended
    for window in ((2, 2), (9, 9)):
        lse = Inputs((query * 0, key, value), (), inputs.grad, inputs.options).call(
            return_lse=True, window_size=window
        )[1]
        counts = [4, 5, 5, 5, 9, 5, 5, 5, 4] if window == (2, 2) else [9] * 9
        assert error(lse.exp()[0, 0], torch.tensor(counts)) < 1e-12
