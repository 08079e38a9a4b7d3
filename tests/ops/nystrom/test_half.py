import pytest
import torch

from longspan.ops.nystrom import nystrom_attention
from tests.ops.nystrom.cases import NAMES, evaluate, make_inputs

DTYPES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


@DTYPES
@pytest.mark.parametrize("factor", [1, 100])
@pytest.mark.parametrize("ids", ["none", "padded", "packed"])
def test_error_is_bounded_by_that_of_the_reference_in_the_same_dtype(dtype, factor, ids):
    inputs, weight, grad = make_inputs(2, 200, 2, 32, kernel=9, dtype=dtype, seed=3)
    inputs[0] = inputs[0] * factor
    segment_ids = None if ids == "none" else torch.zeros(2, 200, dtype=torch.long)
    if ids == "padded":
        segment_ids[0, :20] = -1
    if ids == "packed":
        segment_ids[:, 120:] = 1
        segment_ids[1, 60:] = -1

    def run(backend, dtype):
        values = [x.to(dtype) for x in (*inputs, weight, grad)]
        return evaluate(values[:3], values[3], values[4], 16, segment_ids=segment_ids, backend=backend)

    exact = run("reference", torch.float64)
    for name, actual, low, truth in zip(NAMES, run("sdpa", dtype), run("reference", dtype), exact, strict=True):
        actual, low, truth = actual.detach(), low.detach(), truth.detach()
        assert actual.dtype == dtype and actual.isfinite().all(), name
        unit = float(torch.finfo(dtype).eps) * float(truth.abs().max())
        bound = 2 * float((low.double() - truth).abs().max()) + 4 * unit
        assert float((actual.double() - truth).abs().max()) <= bound, name


@DTYPES
def test_autocast_does_not_reach_the_inverse(dtype):
    inputs, weight, grad = make_inputs(2, 60, 2, 8, dtype=dtype)
    expected = evaluate(inputs, weight, grad)
    leaves = [x.requires_grad_() for x in inputs]
    with torch.autocast("cpu", dtype=dtype):
        context = nystrom_attention(*leaves, 8, conv_weight=weight.float())  # a float32 parameter
    assert context.dtype == dtype and torch.equal(context, expected[0])
    assert torch.equal(torch.autograd.grad(context, leaves[0], grad)[0], expected[1])
