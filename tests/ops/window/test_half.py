"""Half precision: finite, and no worse than a plain evaluation in the same dtype, also with scores of hundreds."""

import pytest
import torch

from tests._support import assert_within_budget, error
from tests.ops.window.cases import NAMES, Inputs, evaluate, make, random_globals, random_ids

DTYPES = [torch.float16, torch.bfloat16, torch.float32]
WINDOWS = [(9, 9), (200, 200)]
FACTOR = 3.0


def inputs_of(dtype: torch.dtype, window: tuple[int, int], score: float, share: float, hidden: int) -> Inputs:
    ids, marks = random_ids(4, 150, 2), random_globals(4, 150, 3, share)
    options = {"segment_ids": ids, "global_mask": marks, "hidden": hidden, "score": score}
    return make(4, 150, window, size=16, **options).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("score", [1.0, 100.0])
@pytest.mark.parametrize("share", [0.03, 0.5])
@pytest.mark.parametrize("hidden", [0, 24])
def test_error_is_within_that_of_the_reference(dtype, window, score, share, hidden):
    inputs = inputs_of(dtype, window, score, share, hidden)
    exact = evaluate(inputs.to(torch.float64), "reference")
    found = evaluate(inputs)
    assert all(x.dtype == dtype for x in (found[0], *found[2:])) and found[1].dtype == torch.float32
    assert_within_budget(found, evaluate(inputs, "reference"), exact, FACTOR, names=NAMES[: len(exact)])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_weights_collect_gradients_from_many_documents(dtype):
    """A sum over documents in half precision would lose digits with each."""
    global_mask = (torch.arange(20) == 0).expand(200, -1)
    inputs = make(200, 20, (3, 3), size=16, hidden=32, global_mask=global_mask).to(dtype)
    exact = evaluate(inputs.to(torch.float64), "reference")
    assert_within_budget(evaluate(inputs), evaluate(inputs, "reference"), exact, 2.0, names=NAMES)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("hidden", [0, 24])
def test_dropout_with_scores_of_hundreds(dtype, window, hidden):
    inputs = inputs_of(dtype, window, 100.0, 0.03, hidden)
    found = []
    for x in (inputs, inputs.to(torch.float64)):  # the same seed drops the same probabilities
        torch.manual_seed(0)
        found.append(evaluate(x, dropout_p=0.3)[: 6 if hidden else 5])
    plain, plain_exact = (evaluate(x, "reference")[: len(found[0])] for x in (inputs, inputs.to(torch.float64)))
    plain = [p.double() - e + exact for p, e, exact in zip(plain, plain_exact, found[1], strict=True)]
    plain[1] = found[1][1]  # the log-sum-exp knows no dropout
    assert_within_budget([found[0][0], *found[0][2:]], [plain[0], *plain[2:]], [found[1][0], *found[1][2:]], FACTOR)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_scores_beyond_float16_stay_finite(dtype):
    """Scores of 40,000, products of 80,000 before the scale: more than float16 holds."""
    inputs = make(1, 90, (4, 4), size=4, seed=1, global_mask=random_globals(1, 90, 1)).to(dtype)
    q, k, v = inputs.attended
    attended = [x.requires_grad_() for x in (q.sign() * 200, k.sign() * 100, v.clone())]
    for dropout_p in (0.0, 0.5):
        context = inputs.call(attended, dropout_p=dropout_p)
        grads = torch.autograd.grad(context, attended, inputs.grad)
        assert all(x.isfinite().all() for x in (context, *grads)), dropout_p


def test_budget_tells_a_wrong_result_apart():
    inputs = inputs_of(torch.bfloat16, (9, 9), 1.0, 0.03, 0)
    exact, plain = (evaluate(x, "reference") for x in (inputs.to(torch.float64), inputs))
    wrong = evaluate(inputs, window_size=(9, 8))
    assert error(wrong[0], exact[0]) > 0.01
    with pytest.raises(AssertionError, match="context: rms"):
        assert_within_budget(wrong, plain, exact, FACTOR, names=NAMES[: len(exact)])
