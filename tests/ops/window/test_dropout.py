"""Attention dropout: the right probabilities are dropped and scaled, in the forward and in the backward alike.

With one-hot values the context of a token is its row of dropped probabilities, which shows what was kept; the
reference, given the same factors, has to give the same context and gradients for any other values.
"""

from dataclasses import replace

import pytest
import torch

from longspan.ops.window import reference
from longspan.ops.window.dropout import Keep
from tests._support import error
from tests.ops.window.cases import FIELDS, Inputs, assert_same, evaluate, make, random_globals, random_ids

LENGTH = 70  # also the head size and the hidden size, so that one-hot values exist
P = 0.3

OPTIONS = {
    "window": {},
    "padding and documents": {"segment_ids": random_ids(2, LENGTH, 3)},
    "interleaved": {"segment_ids": random_ids(2, LENGTH, 3, True), "global_mask": random_globals(2, LENGTH, 1)},
    "globals": {"global_mask": random_globals(2, LENGTH, 1)},
    "folded": {"global_mask": random_globals(2, LENGTH, 2, 0.05), "hidden": LENGTH},
    "projected, many": {"global_mask": random_globals(2, LENGTH, 2, 0.6), "hidden": LENGTH},
    "all global": {"global_mask": torch.ones(2, LENGTH, dtype=torch.bool), "hidden": LENGTH},
    "dilated": {"dilation": [1, 3]},
    "dilated with all": {
        "dilation": [1, 3], "global_mask": random_globals(2, LENGTH, 1), "segment_ids": random_ids(2, LENGTH, 5)
    },
}  # fmt: skip


def one_hot(inputs: Inputs) -> Inputs:
    """The same with values, also the projected ones, that are the token's place."""
    eye = torch.eye(LENGTH, dtype=torch.float64)
    query, key, value = inputs.attended
    value = eye[None, :, None].expand_as(value)
    if not inputs.projected:
        return replace(inputs, attended=(query, key, value))
    hidden, *weights = inputs.projected
    weights[4:] = eye.repeat(value.shape[2], 1), torch.zeros_like(weights[5])
    return replace(inputs, attended=(query, key, value), projected=(eye.expand_as(hidden), *weights))


def dropped(inputs: Inputs, seed: int = 0, p: float = P) -> torch.Tensor:
    """Dropped probabilities (B, H, N, N)."""
    torch.manual_seed(seed)
    return one_hot(inputs).call(dropout_p=p).transpose(1, 2)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("window", [(4, 3), (40, 0), (80, 80)], ids=str)
def test_context_and_gradients_with_the_same_probabilities_dropped(name, window, monkeypatch, nan_filled):
    inputs = make(2, LENGTH, window, size=LENGTH, **OPTIONS[name])
    after, before = dropped(inputs), one_hot(inputs).call(backend="reference").transpose(1, 2)
    assert error(after, torch.where(after == 0, 0, before / (1 - P))) < 1e-4  # the rate is a multiple of 2**-16
    kept = (after != 0) * (after.sum() / torch.where(after == 0, 0, before).sum())

    monkeypatch.setattr(reference.F, "dropout", lambda probabilities, p, training: probabilities * kept)
    expected = evaluate(inputs, "reference", dropout_p=P)
    torch.manual_seed(0)
    assert_same(evaluate(inputs, dropout_p=P), expected, 1e-10)


@pytest.mark.parametrize("name", ["globals", "projected, many", "dilated"])
@pytest.mark.parametrize("window", [(9, 9), (80, 80)], ids=str)
def test_rate_and_independence(name, window):
    inputs = make(2, LENGTH, window, size=LENGTH, **OPTIONS[name])
    seen = one_hot(inputs).call(backend="reference").transpose(1, 2) > 0
    draws = [dropped(inputs, seed) > 0 for seed in range(3)]
    for kept in draws:
        assert abs(float(kept[seen].double().mean()) - (1 - P)) < 4 * (P * (1 - P) / int(seen.sum())) ** 0.5

    def agreement(a: torch.Tensor, b: torch.Tensor, where: torch.Tensor) -> None:
        """Independent draws agree as often as chance has it."""
        chance, count = P**2 + (1 - P) ** 2, int(where.sum())
        assert abs(float((a == b)[where].double().mean()) - chance) < 4 * (chance * (1 - chance) / count) ** 0.5

    kept = draws[0]
    agreement(kept, draws[1], seen)  # seeds
    agreement(kept[0], kept[1], seen[0] & seen[1])  # rows of the batch
    agreement(kept[:, 0], kept[:, 1], seen[:, 0] & seen[:, 1])  # heads
    shared = {shift: seen[:, :, shift:] & seen[:, :, :-shift] for shift in (1, 3, 15, 32, 33)}
    assert sum(bool(where.any()) for where in shared.values()) >= 4
    for shift, where in shared.items():  # queries, also those of neighbouring blocks
        if where.any():
            agreement(kept[:, :, shift:], kept[:, :, :-shift], where)


@pytest.mark.parametrize("backend", ["sdpa", "reference"])
def test_mean_over_draws_is_the_result_without_dropout(backend):
    options = {"hidden": 6, "global_mask": random_globals(1, 40, 1), "segment_ids": random_ids(1, 40, 3)}
    for window in ((3, 3), (50, 50)):
        inputs = make(1, 40, window, **options)
        torch.manual_seed(0)
        draws = torch.stack([inputs.call(dropout_p=P, backend=backend) for _ in range(400)])
        expected = inputs.call(backend="reference")
        deviation = (draws.mean(0) - expected) / (draws.std(0) / 400**0.5 + 1e-12)
        assert float(deviation.abs().max()) < 5 and abs(float(deviation.mean())) < 0.2
        assert float(draws.std(0).max()) > 0.1


@pytest.mark.parametrize("window", [(3, 3), (50, 50)], ids=str)
def test_gradcheck(window):
    inputs = make(1, 40, window, heads=1, size=2, hidden=3, global_mask=random_globals(1, 40, 1), dilation=1)
    leaves = [x[:, :40].clone().requires_grad_() for x in inputs.attended]
    leaves += [x.clone().requires_grad_() for x in inputs.projected]

    def call(*x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return inputs.call(x[:3], x[3:], dropout_p=P)

    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)


def test_seed():
    inputs = make(2, 50, (3, 3), hidden=6, global_mask=random_globals(2, 50, 1))
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(evaluate(inputs, dropout_p=P))
    assert_same(found[0], found[1], 0.0)
    assert error(found[2][0], found[0][0]) > 0.01
    assert error(found[2][1][0], found[0][1][0]) == 0  # the log-sum-exp is that without dropout
    assert error(found[0][1], evaluate(inputs, "reference")[1]) < 1e-12


def test_no_dropout_is_bit_equal_and_leaves_the_generator_alone():
    inputs = make(2, 50, (3, 3), global_mask=random_globals(2, 50, 1))
    before = torch.get_rng_state()
    assert_same(evaluate(inputs, dropout_p=0.0), evaluate(inputs), 0.0)
    assert torch.get_rng_state().equal(before)


def test_extreme_rates():
    inputs = make(2, 50, (3, 3), global_mask=random_globals(2, 50, 1))
    # nearest multiple of 2**-16: nothing is dropped
    assert_same(evaluate(inputs, dropout_p=1e-6), evaluate(inputs, "reference"))
    assert all(x.isfinite().all() for x in evaluate(inputs, dropout_p=1 - 1e-9)[2:])


def test_checkpointing_drops_the_same():
    inputs = make(2, 50, (3, 3), hidden=6, global_mask=random_globals(2, 50, 1))
    found = []
    for checkpoint in (False, True):
        leaves = [x.clone().requires_grad_() for x in (*inputs.attended, *inputs.projected)]

        def call(*x: torch.Tensor) -> torch.Tensor:
            return inputs.call(x[:3], x[3:], dropout_p=P)

        torch.manual_seed(0)
        context = torch.utils.checkpoint.checkpoint(call, *leaves, use_reentrant=False) if checkpoint else call(*leaves)
        torch.rand(3)  # the generator moves on between forward and backward
        found.append([context, *torch.autograd.grad(context, leaves, inputs.grad)])
    for a, b in zip(*found, strict=True):
        assert a.equal(b)


def test_padding_stays_zero():
    segment_ids = random_ids(2, 50, 5)
    inputs = make(2, 50, (3, 3), segment_ids=segment_ids, global_mask=random_globals(2, 50, 1))
    found = dict(zip(("context", "lse", *FIELDS), evaluate(inputs, dropout_p=P), strict=True))
    for name in ("context", *FIELDS):
        assert not found[name][segment_ids < 0].any() and found[name][segment_ids >= 0].any(), name


def test_kept_factors_have_mean_one():
    x = torch.empty(2, 3, 50, 4)
    for p in (0.1, 0.5, 0.9):
        factors = Keep(p, 0, x.device).draw(x, x)
        assert factors.shape == (2, 3, 50, 50) and set(factors.unique().tolist()) == {0.0, factors.max().item()}
        assert abs(float(factors.mean()) - 1) < 4 * (p / (1 - p) / factors.numel()) ** 0.5
