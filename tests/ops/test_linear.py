"""The linear layer: the same numbers and gradients as torch's own, wherever it is computed."""

import pytest
import torch
import torch.nn.functional as F

from longspan.ops import linear as module
from longspan.ops.linear import linear
from tests._support import Watch, error

HAS_ONEDNN = pytest.mark.skipif(not module._HAS_ONEDNN, reason="this build or processor has no oneDNN")


def given(*shape, dtype=torch.float32, size=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator)
    weight = torch.randn(size, shape[-1], generator=generator) / shape[-1] ** 0.5
    return x.to(dtype), weight.to(dtype), torch.randn(size, generator=generator).to(dtype)


def exact(x, weight, bias, gelu):
    y = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    return y if gelu is None else F.gelu(y, approximate=gelu)


@pytest.mark.parametrize("gelu", [None, "none", "tanh"])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-14), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("shape", [(1, 16), (2, 37, 48), (5, 50, 48), (1, 16, 768), (0, 16), (3, 0, 16)])
def test_equals_float64(shape, dtype, tolerance, gelu):
    x, weight, bias = given(*shape, dtype=dtype)
    for b in (bias, None):
        found = linear(x, weight, b, gelu)
        assert found.dtype == dtype
        assert error(found, exact(x, weight, b, gelu)) <= tolerance


def test_reads_strided_input_and_leaves_it_alone():
    x, weight, bias = given(8, 9, 16)
    x = x[::2, 1:].transpose(0, 1)
    kept = x.clone()
    found = linear(x, weight, bias, "none")
    assert error(found, exact(x, weight, bias, "none")) <= 1e-6
    found.zero_()
    assert torch.equal(x, kept)


@HAS_ONEDNN
def test_float32_goes_to_onednn_unless_the_caller_says_otherwise():
    x, weight, bias = given(2, 8, 16)

    def used():
        with Watch() as watch:
            linear(x, weight, bias)
        return "_linear_pointwise" in watch.calls

    assert used()
    with torch.backends.mkldnn.flags(enabled=False):
        assert not used()
    with torch.autocast("cpu", torch.bfloat16):
        assert not used() and linear(x, weight, bias).dtype == torch.bfloat16


@pytest.mark.parametrize("gelu", [None, "none", "tanh"])
@pytest.mark.parametrize("shape", [(1, 16), (2, 37, 48), (0, 16)])
@pytest.mark.parametrize(
    "wanted", [(True, True, True), (True, False, False), (False, True, True), (False, False, True)]
)
def test_gradients(shape, gelu, wanted):
    tensors = given(*shape)
    exact_tensors = [t.double().requires_grad_(w) for t, w in zip(tensors, wanted, strict=True)]
    exact(*exact_tensors, gelu).square().sum().backward()
    for t, w in zip(tensors, wanted, strict=True):
        t.requires_grad_(w)
    linear(*tensors, gelu).square().sum().backward()
    for t, e in zip(tensors, exact_tensors, strict=True):
        assert (t.grad is None) == (e.grad is None)
        assert t.grad is None or error(t.grad, e.grad) <= 2e-6


def test_batches_and_compiles():
    x, weight, bias = given(5, 3, 16)
    plain = linear(x, weight, bias, "tanh")
    assert error(torch.func.vmap(lambda row: linear(row, weight, bias, "tanh"))(x), plain) <= 1e-6
    compiled = torch.compile(linear, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        assert error(compiled(x, weight, bias, "tanh"), plain) <= 1e-6
