"""What Nyström attention is for a caller: the checks, and the choice of backend."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from longspan.ops.checks import check_integer, check_tensor
from longspan.ops.nystrom import operator, reference
from longspan.ops.nystrom.factors import NystromFactors, attention_factors

_BACKENDS: dict[str, Callable[..., Tensor]] = {
    "sdpa": operator.nystrom_attention,
    "reference": reference.nystrom_attention,
}
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def nystrom_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    num_landmarks: int,
    *,
    segment_ids: Tensor | None = None,
    query_landmarks: Tensor | None = None,
    key_landmarks: Tensor | None = None,
    conv_weight: Tensor | None = None,
    inverse_iterations: int = 6,
    exact_inverse_scale: bool = False,
    scale: float | None = None,
    return_factors: bool = False,
    causal: bool = False,
    backend: str = "sdpa",
) -> Tensor | tuple[Tensor, NystromFactors]:
    """Nyström attention in O(N m) (Xiong et al., Nyströmformer, arXiv 2102.03902, equation 13).

    ``softmax(Q K̃ᵀ) · pinv(softmax(Q̃ K̃ᵀ)) · (softmax(Q̃ Kᵀ) V) + conv(V)``, scores times ``scale``. Q̃ and K̃ are the
    means of m runs of consecutive valid tokens of one document; the token of rank r among n is in run ``r * m // n``,
    so any length goes with any m. A document of at most m valid tokens gets exact softmax attention plus the
    convolution.

    Args:
        query: (B, N, H, D), any strides; float16, bfloat16, float32 or float64.
        key: like ``query``.
        value: like ``query``.
        num_landmarks: m >= 1, landmarks a document.
        segment_ids: which document a token belongs to, (B, N). Integers: tokens of a row with equal ids are one
            document, a negative id is padding. Bool: True is valid, and each row is one document. None: each row is one
            document without padding. No document's result depends on padding or on another document.
        query_landmarks: Q̃ if the caller has it already, (B, m, H, D); one document a row only, and read only for
            documents of more than m valid tokens.
        key_landmarks: K̃, likewise.
        conv_weight: depthwise convolution over the values, (H, k) with k odd; it reads 0 at padding and across
            documents and counts a masked position inside a document as a place. None for no convolution.
        inverse_iterations: steps of the iterative inverse, which runs in at least float32.
        exact_inverse_scale: start the inverse of each head from its own largest column sum instead of the largest
            over one document's heads.
        scale: factor on the scores, ``D ** -0.5`` by default.
        return_factors: also return the :class:`NystromFactors` that the product consists of (one document a row).
        causal: refused.
        backend: "sdpa" (two fused attention calls, own backward, nothing of N x m kept) or "reference" (dense factors,
            the oracle; under ``torch.compile`` only with bool ``segment_ids`` or None).

    Returns:
        (B, N, H, D) in the dtype of ``query``, exactly 0 at padding; with ``return_factors`` also the factors.

    Raises:
        ValueError: for a shape, value or name that does not fit, and for ``causal=True``.
        TypeError: for a type or dtype that does not fit.
    """
    if causal:
        raise ValueError(
            "causal=True is not possible with Nyström attention: its landmarks are means over the whole document, so "
            "every token would see the future. Use sliding_window_attention with window_size=(left, 0) instead"
        )
    if backend not in _BACKENDS:
        raise ValueError(f"backend {backend!r} does not exist for nystrom_attention; possible: {sorted(_BACKENDS)}")
    _check_tensors(query, key, value)
    num_landmarks = check_integer("num_landmarks", num_landmarks, 1)
    inverse_iterations = check_integer("inverse_iterations", inverse_iterations, 0)
    _check_segment_ids(segment_ids, query)
    for name, landmarks in (("query_landmarks", query_landmarks), ("key_landmarks", key_landmarks)):
        _check_landmarks(name, landmarks, query, num_landmarks)
    check_tensor("conv_weight", conv_weight, optional=True)
    if conv_weight is not None:
        _check_convolution(conv_weight, query)
        conv_weight = conv_weight.to(query.dtype)
    if scale is None:
        scale = query.shape[-1] ** -0.5
    elif not isinstance(scale, float | int):
        raise TypeError(f"scale must be a number or None, got {scale!r}")

    context = _BACKENDS[backend](
        query, key, value, segment_ids, query_landmarks, key_landmarks, conv_weight,
        num_landmarks, inverse_iterations, exact_inverse_scale, float(scale),
    )  # fmt: skip
    if not return_factors:
        return context
    factors = attention_factors(
        query, key, _one_document_mask(segment_ids), num_landmarks, scale,
        query_landmarks=query_landmarks, key_landmarks=key_landmarks,
        inverse_iterations=inverse_iterations, exact_inverse_scale=exact_inverse_scale,
    )  # fmt: skip
    return context, factors


def _check_tensors(query: Tensor, key: Tensor, value: Tensor) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        check_tensor(name, x)
        if x.ndim != 4:
            raise ValueError(f"{name} must be (batch, tokens, heads, head size), got {x.ndim} axes: {tuple(x.shape)}")
        if 0 in x.shape[2:]:
            raise ValueError(f"{name} must have at least one head and a head size >= 1, got {tuple(x.shape)}")
        if x.dtype not in _DTYPES:
            raise TypeError(f"{name} has dtype {x.dtype}; possible: float16, bfloat16, float32, float64")
        if x.shape != query.shape:
            raise ValueError(f"{name} has shape {tuple(x.shape)}, but query has {tuple(query.shape)}: they must agree")
        if x.dtype != query.dtype:
            raise TypeError(f"{name} has dtype {x.dtype}, but query has {query.dtype}: they must agree")


def _check_segment_ids(segment_ids: Tensor | None, query: Tensor) -> None:
    check_tensor("segment_ids", segment_ids, optional=True)
    if segment_ids is None:
        return
    if segment_ids.shape != query.shape[:2]:
        raise ValueError(
            f"segment_ids has shape {tuple(segment_ids.shape)}, but must be (batch, tokens) = {tuple(query.shape[:2])}"
        )
    if segment_ids.is_floating_point() or segment_ids.is_complex():
        raise TypeError(f"segment_ids has dtype {segment_ids.dtype}; possible: an integer dtype or bool")


def _check_landmarks(name: str, landmarks: Tensor | None, query: Tensor, num_landmarks: int) -> None:
    check_tensor(name, landmarks, optional=True)
    if landmarks is None:
        return
    expected = (query.shape[0], num_landmarks, *query.shape[2:])
    if landmarks.shape != expected:
        raise ValueError(
            f"{name} has shape {tuple(landmarks.shape)}, but must be (batch, m, heads, head size) = {expected}"
        )
    if landmarks.dtype != query.dtype:
        raise TypeError(f"{name} has dtype {landmarks.dtype}, but query has {query.dtype}: they must agree")


def _check_convolution(weight: Tensor, query: Tensor) -> None:
    heads = query.shape[2]
    if weight.ndim != 2 or weight.shape[0] != heads or weight.shape[1] % 2 == 0:
        raise ValueError(
            f"conv_weight has shape {tuple(weight.shape)}, but must be (heads, kernel size) = ({heads}, an odd number)"
        )


def _one_document_mask(segment_ids: Tensor | None) -> Tensor | None:
    """``segment_ids`` as a bool mask, for results that have one document axis only."""
    if segment_ids is None or segment_ids.dtype == torch.bool:
        return segment_ids
    if torch.compiler.is_compiling():
        raise ValueError("return_factors needs bool segment_ids (True is valid, one document a row) under compile")
    valid = segment_ids >= 0
    if bool((valid & (segment_ids != segment_ids.amax(1, keepdim=True))).any()):
        raise ValueError(
            "return_factors needs one document a row, but a row of segment_ids holds several: the factors of packed "
            "documents have different shapes. Give each document a row of its own"
        )
    return valid
