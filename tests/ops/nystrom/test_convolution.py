import subprocess
import sys

import pytest
import torch

from longspan.ops.nystrom.convolution import Convolution, convolve_backward, pieces
from tests._support import error


def written_out(value, weight, grad):
    """Convolution and both gradients in float64, tap by tap."""
    value, weight, grad = value.double(), weight.double(), grad.double()
    (length, half), taps = (value.shape[1], weight.shape[1] // 2), range(weight.shape[1])

    def shifted(x, by):
        return torch.nn.functional.pad(x, (0, 0, 0, 0, half, half))[:, half + by : half + by + length]

    def column(tap):
        return weight[:, tap, None]

    return (
        sum(column(t) * shifted(value, t - half) for t in taps),
        sum(column(t) * shifted(grad, half - t) for t in taps),
        torch.stack([(grad * shifted(value, t - half)).sum((0, 1, 3)) for t in taps], 1),
    )


# 65 taps at 128 tokens and 33 at 4096 are where the CPU library's gradient of the weight is wrong
@pytest.mark.parametrize("length", [1, 33, 128, 1000, 4096])
@pytest.mark.parametrize("taps", [1, 33, 65])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_convolution_and_gradients(length, taps, dtype, channels=32):
    generator = torch.Generator().manual_seed(length)
    value, grad = (torch.randn(2, length, 2, channels // 2, generator=generator).to(dtype) for _ in range(2))
    weight = torch.randn(2, taps, generator=generator).to(dtype)
    convolution = Convolution(value, weight, None)
    context = torch.cat([convolution.rows(start, stop) for start, stop in pieces(length)], 1)
    expected = written_out(value, weight, grad)
    tolerance = 2e-6 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    assert error(context, expected[0]) < tolerance
    for actual, right in zip(convolve_backward(grad, value, weight, None), expected[1:], strict=True):
        assert actual.dtype == dtype and error(actual, right) < tolerance


NARROW = """
import torch
from tests.ops.nystrom.test_convolution import test_convolution_and_gradients
test_convolution_and_gradients(100, 35, torch.bfloat16, channels=16)
"""


def test_few_channels_in_bfloat16_come_to_an_end():
    """oneDNN's convolution of such (torch 2.13) never returns on some CPUs, so this runs in a process of its own."""
    subprocess.run([sys.executable, "-c", NARROW], check=True, timeout=120)
