"""The depthwise convolution over values that Nyströmformer adds to its attention (arXiv 2102.03902, section 3.3).

Tokens lie along the width of an image and channels in its innermost axis, as the values do in memory: the CPU library
then works on whole vectors of channels. With heads as channels and tokens along the height it takes 3 to 4 times as
long.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# tokens computed at a time: what belongs to them stays in cache, and above 32 MiB malloc would fetch fresh pages anew
_PIECE = 1024
# tokens of a block of the weight's gradient
_BLOCK = 64


def pieces(length: int) -> list[tuple[int, int]]:
    """First and past-the-last token of the pieces that a row of ``length`` tokens is computed in."""
    return [(start, min(start + _PIECE, length)) for start in range(0, length, _PIECE)]


class Convolution:
    """``sum_t w_t v_{i + t - k // 2}`` of each head and channel, reading 0 outside the row and at padding.

    Args:
        value: (B, N, H, D), one document a row.
        weight: (H, k), k odd.
        mask: (B, N) bool, True where valid, or None.
    """

    def __init__(self, value: Tensor, weight: Tensor, mask: Tensor | None) -> None:
        self._value, self._mask, self._half = value.flatten(2), mask, weight.shape[1] // 2
        self._kernel = channel_kernel(weight, self._value.shape[2])
        self._heads = value.shape[2:]

    def rows(self, start: int, stop: int) -> Tensor:
        """The result of tokens ``start`` to ``stop``, (B, stop - start, H, D)."""
        first, last = max(start - self._half, 0), min(stop + self._half, self._value.shape[1])
        window = self._value[:, first:last]
        if self._mask is not None:
            window = window.masked_fill(~self._mask[:, first:last, None], 0)
        result = convolve_window(window, self._kernel, self._half)
        return result[:, start - first : stop - first].unflatten(2, self._heads)


def channel_kernel(weight: Tensor, channels: int) -> Tensor:
    """The kernel (H, k) once for each of ``channels`` channels, as :func:`convolve_window` takes it."""
    return weight.repeat_interleave(channels // weight.shape[0], 0)[:, None, None, :]


def convolve_window(window: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """(B, L, d) convolved with ``padding`` zeros on both sides, (B, L + 2 * padding - k + 1, d)."""
    dtype = window.dtype
    # on a CPU float16 is 100 times slower than the way through float32, and oneDNN's bfloat16 (torch 2.13) never
    # returns for wide kernels of up to 16 channels
    slow = dtype == torch.float16 or (dtype == torch.bfloat16 and kernel.shape[0] <= 16)
    if slow and window.device.type == "cpu":
        window, kernel = window.float(), kernel.float()
    image = window.mT.unsqueeze(2)
    result = torch.conv2d(image, kernel, padding=(0, padding), groups=kernel.shape[0])
    return result.squeeze(2).mT.to(dtype)


def convolve_backward(grad: Tensor, value: Tensor, weight: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gradients of ``value`` (unspecified where masked) and ``weight``, given that of the result (0 where masked)."""
    transposed = Convolution(grad, weight.flip(1), None)
    grad_value = torch.empty(grad.shape, dtype=grad.dtype, device=grad.device)
    for start, stop in pieces(grad.shape[1]):
        grad_value[:, start:stop] = transposed.rows(start, stop)
    if mask is not None:
        value = value.masked_fill(~mask[:, :, None, None], 0)
    return grad_value, _weight_gradient(grad, value, weight.shape[1]).to(weight.dtype)


def _weight_gradient(grad: Tensor, value: Tensor, size: int) -> Tensor:
    """``sum_i g_i v_{i + t - k // 2}``, (H, k), by products of blocks, whose diagonals are the taps.

    The CPU library's own weight gradient is wrong by up to a fifth for kernels of 33 and 65 (oneDNN in torch 2.13), and
    three times slower.
    """
    _, length, heads, _ = grad.shape
    wide = torch.promote_types(grad.dtype, torch.float32)
    products = torch.zeros(heads, _BLOCK, _BLOCK + size - 1, dtype=wide, device=grad.device)
    padded = F.pad(value, (0, 0, 0, 0, size // 2, size // 2))
    for row_grad, row in zip(grad.transpose(1, 2), padded.transpose(1, 2), strict=True):  # (H, N, D), (H, N + k - 1, D)
        for start in range(0, length, _BLOCK):
            block = row_grad[:, start : start + _BLOCK].to(wide)
            window = row[:, start : start + _BLOCK + size - 1].to(wide)
            products[:, : block.shape[1], : window.shape[1]].baddbmm_(block, window.mT)
    by_tap = products.as_strided((heads, size, _BLOCK), (products.stride(0), 1, products.stride(1) + 1))
    return by_tap.sum(-1)
