"""Softmax attention that also returns its log-sum-exp, forward and backward.

Every fused path of longspan is built from these two functions: parts of one softmax are computed apart and merged by
their log-sum-exp, and the backward of a part, given the *merged* output and log-sum-exp, returns that part's gradient
(Dao et al., FlashAttention, arXiv 2205.14135, section 3.1 and appendix B). No probability matrix is kept.

Shapes: B batch, H heads, M queries, N keys, D head size.
"""

from __future__ import annotations

import torch
from torch import Tensor

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Softmax attention and its log-sum-exp.

    Args:
        query: (B, H, M, D).
        key: (B, H, N, D). Overlapping views are fine.
        value: (B, H, N, D).
        mask: additive float mask with four axes, each of size 1 or the full size; -inf hides a key.
        scale: factor on the scores.

    Returns:
        Context (B, H, M, D) in the dtype of ``query`` and log-sum-exp (B, H, M) in float32 (float64 for float64).
        A row that sees no key has context 0; its log-sum-exp is 0 where the mask hid every key, so that a backward
        with it stays finite, and -inf where there was no key at all.
    """
    if query.shape[-2] == 0 or key.shape[-2] == 0 or query.shape[0] == 0:
        # the CPU kernel divides by these sizes
        context = query.new_zeros(query.shape)
        return context, torch.full(query.shape[:-1], float("-inf"), dtype=_wide(query), device=query.device)
    if _has_kernel(query):
        query, key, value = (_unit_stride(x) for x in (query, key, value))
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, attn_mask=mask, scale=scale
        )
    scores = _scores(query, key, mask, scale)
    lse = scores.logsumexp(-1)
    lse = lse.masked_fill(lse == float("-inf"), 0.0)
    probabilities = (scores - lse.unsqueeze(-1)).exp()
    return (probabilities @ value.to(scores.dtype)).to(query.dtype), lse


def attend_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    mask: Tensor | None = None,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`attend`, or of one part of a merged softmax.

    Args:
        grad: gradient of the merged context, (B, H, M, D).
        query: (B, H, M, D).
        key: (B, H, N, D), this part's keys.
        value: (B, H, N, D), this part's values.
        context: the merged context (B, H, M, D).
        lse: the merged log-sum-exp (B, H, M), finite, or +inf for a row that shall receive and give no gradient.
        mask: as in the forward.
        scale: as in the forward.

    Returns:
        Gradients of query, key and value; overlapping keys get one gradient each time they appear.
    """
    if query.shape[-2] == 0 or key.shape[-2] == 0 or query.shape[0] == 0:
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    if _has_kernel(query):
        grad, query, key, value, context = (_unit_stride(x) for x in (grad, query, key, value, context))
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, query, key, value, context, lse, 0.0, False, attn_mask=mask, scale=scale
        )
    scores = _scores(query, key, mask, scale)
    wide = scores.dtype
    probabilities = (scores - lse.to(wide).unsqueeze(-1)).exp()
    grad_wide = grad.to(wide)
    grad_value = probabilities.transpose(-1, -2) @ grad_wide
    delta = (grad_wide * context.to(wide)).sum(-1, keepdim=True)
    grad_scores = probabilities * (grad_wide @ value.to(wide).transpose(-1, -2) - delta) * scale
    grad_query = grad_scores @ key.to(wide)
    grad_key = grad_scores.transpose(-1, -2) @ query.to(wide)
    return grad_query.to(query.dtype), grad_key.to(key.dtype), grad_value.to(value.dtype)


def _has_kernel(query: Tensor) -> bool:
    return query.device.type == "cpu" and query.dtype in _DTYPES


def _wide(query: Tensor) -> torch.dtype:
    return torch.float64 if query.dtype == torch.float64 else torch.float32


def _unit_stride(x: Tensor) -> Tensor:
    # the CPU kernel reads garbage, in silence, when the last axis has another stride
    return x if x.stride(-1) == 1 else x.contiguous()


def _scores(query: Tensor, key: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    wide = _wide(query)
    scores = (query.to(wide) * scale) @ key.to(wide).transpose(-1, -2)
    return scores if mask is None else scores + mask
