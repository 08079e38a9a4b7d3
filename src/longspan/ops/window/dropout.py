"""Attention dropout: the same softmax with explicit probabilities, one step of bounded size at a time.

A fused kernel cannot drop probabilities, so they are made explicitly, for a few blocks of queries, and made again in
the backward from the same seed. Shapes: B batch, H heads, M queries, N keys, D head size.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Keep:
    """Keep masks, the same sequence for the same seed.

    16 random bits decide for each probability, so the rate is a multiple of 2**-16; the kept ones are scaled by the
    fraction actually used. Whoever draws twice (forward, backward) has to ask in the same order for the same shapes.
    """

    def __init__(self, p: float, seed: int, device: torch.device) -> None:
        self.threshold = min(round(p * 65536), 65535)
        self.scale = 65536 / (65536 - self.threshold)
        self._generator = torch.Generator(device=device).manual_seed(seed)
        self._device = device

    def draw(self, query: Tensor, key: Tensor) -> Tensor:
        """Factors of the probabilities (B, H, M, N) of these queries and keys: 0 (dropped) or ``scale`` (kept)."""
        shape = torch.Size((*query.shape[:3], key.shape[2]))
        dtype = torch.promote_types(query.dtype, torch.float32)
        count = shape.numel()
        words = torch.empty(-(-count // 4), dtype=torch.int64, device=self._device)
        # the full range of int64, four 16-bit numbers each: far cheaper than one draw an element
        words.random_(-(2**63), None, generator=self._generator)
        bits = words.view(torch.int16)[:count].view(shape)
        return (bits >= self.threshold - 32768).to(dtype).mul_(self.scale)


def attend_dropped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention with dropped probabilities.

    Args:
        query: (B, H, M, D).
        key, value: (B, H, N, D).
        mask: additive, four axes, or None.
        scale: factor on the scores.
        kept: (B, H, M, N) factors of the probabilities, from :meth:`Keep.draw`.

    Returns:
        Context (B, H, M, D), log-sum-exp before dropout (B, H, M), mass after dropout (B, H, M), the sum of the kept
        and scaled probabilities of each row.
    """
    probabilities, lse = _probabilities(query, key, mask, scale)
    probabilities = probabilities * kept
    context = probabilities.to(value.dtype) @ value
    return context, lse, probabilities.sum(-1).to(value.dtype)


def attend_dropped_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    kept: Tensor,
    grad_mass: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value for the gradients of context (B, H, M, D) and mass (B, H, M)."""
    probabilities, _ = _probabilities(query, key, mask, scale)
    grad_value = (probabilities * kept).to(grad.dtype).transpose(-1, -2) @ grad
    grad_probabilities = (grad @ value.transpose(-1, -2)).to(probabilities.dtype)
    if grad_mass is not None:
        grad_probabilities = grad_probabilities + grad_mass.unsqueeze(-1)
    grad_probabilities = grad_probabilities * kept
    delta = (grad_probabilities * probabilities).sum(-1, keepdim=True)
    grad_scores = (probabilities * (grad_probabilities - delta) * scale).to(query.dtype)
    return grad_scores @ key, grad_scores.transpose(-1, -2) @ query, grad_value


def _probabilities(query: Tensor, key: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(query.dtype, torch.float32)  # products of large scores overflow in float16
    scores = (query.to(wide) * scale) @ key.to(wide).transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    lse = scores.logsumexp(-1)
    lse = lse.masked_fill(lse == float("-inf"), 0.0)
    return scores.sub_(lse.unsqueeze(-1)).exp_(), lse
