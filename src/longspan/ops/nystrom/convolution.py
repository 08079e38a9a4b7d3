"""The depthwise convolution over values that Nyströmformer adds to its attention (arXiv 2102.03902, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor


def convolve(value: Tensor, weight: Tensor, mask: Tensor | None) -> Tensor:
    """``y_i = sum_t w_t v_{i + t - k // 2}`` for each head and channel, reading 0 outside the row and where masked.

    Args:
        value: (B, N, H, D), one document a row.
        weight: (H, k), k odd.
        mask: (B, N) bool, True where valid, or None.

    Returns:
        (B, N, H, D).
    """
    image, kernel = _image(value, mask), weight[:, None, :, None]
    padding = (weight.shape[1] // 2, 0)
    return torch.conv2d(image, kernel, padding=padding, groups=weight.shape[0]).transpose(1, 2)


def convolve_backward(grad: Tensor, value: Tensor, weight: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gradients of ``value`` (0 where masked) and ``weight``, given that of the result."""
    padding = [weight.shape[1] // 2, 0]
    grad_image, grad_kernel, _ = torch.ops.aten.convolution_backward(
        grad.transpose(1, 2).contiguous(), _image(value, mask), weight[:, None, :, None].contiguous(), None,
        [1, 1], padding, [1, 1], False, [0, 0], weight.shape[0], [True, True, False],
    )  # fmt: skip
    grad_value = grad_image.transpose(1, 2)
    if mask is not None:
        grad_value = grad_value.masked_fill(~mask[:, :, None, None], 0)
    return grad_value, grad_kernel[:, 0, :, 0]


def _image(value: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None:
        value = value.masked_fill(~mask[:, :, None, None], 0)
    return value.transpose(1, 2)
