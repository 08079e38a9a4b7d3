"""The same Longformer with dense attention: what a window saves, measured on equal results.

Every query is scored against every key by PyTorch's fused attention and the window is only a mask, which is how a model
without a windowed kernel computes it. Blocks of queries keep the mask small; the work is N x N all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

BLOCK = 256
"""Queries that share one mask of BLOCK x N."""


def masked_attention(query: Tensor, key: Tensor, value: Tensor, reach: int) -> Tensor:
    """Attention within `reach` tokens on each side, computed densely.

    Args:
        query, key, value: (B, N, H, D). reach: token i sees j when ``abs(i - j) <= reach``.

    Returns:
        (B, N, H, D).
    """
    n = query.shape[1]
    # row r, column c says whether c - n is within reach of r: every block's mask is a slice of it
    offset = torch.arange(2 * n, device=query.device) - n - torch.arange(BLOCK, device=query.device)[:, None]
    band = torch.zeros(offset.shape, dtype=query.dtype, device=query.device)
    band.masked_fill_(offset.abs() > reach, float("-inf"))
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    blocks = []
    for start in range(0, n, BLOCK):
        rows = q[:, :, start : start + BLOCK]
        mask = band[None, None, : rows.shape[2], n - start : 2 * n - start]
        blocks.append(nn.functional.scaled_dot_product_attention(rows, k, v, attn_mask=mask))
    return torch.cat(blocks, dim=2).transpose(1, 2)


@contextmanager
def dense_attention(model: Any) -> Iterator[None]:
    """Inside the block, `model` attends densely: one unpadded document without global tokens, inference only.

    Raises:
        ValueError: the model is no Longformer.
    """
    if getattr(model.config, "model_type", None) != "longformer":
        raise ValueError(f"model must be a Longformer, got {type(model).__name__}")
    modules = [layer.attention.self for layer in model.base_model.encoder.layer]
    try:
        for module in modules:
            module.forward = _dense_forward(module)
        yield
    finally:
        for module in modules:
            module.__dict__.pop("forward", None)


def _dense_forward(module: Any) -> Any:
    def forward(hidden_states: Tensor, *_: Any) -> tuple[Tensor, None, None]:
        projections = (module.query, module.key, module.value)
        query, key, value = (p(hidden_states).unflatten(-1, (module.num_heads, -1)) for p in projections)
        return masked_attention(query, key, value, module.window_size[0]).flatten(2), None, None

    return forward
