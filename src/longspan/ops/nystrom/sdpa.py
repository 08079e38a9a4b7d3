"""Nyström attention as two fused attention calls around one m x m inverse, behind one opaque operator.

Nothing of N x m or N x N elements is kept, and the backward computes the small inner results again. The operator is
opaque to the compiler and to export, so documents of a packed or ragged batch can be found and gathered inside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longspan.ops.fused import attend, attend_backward
from longspan.ops.nystrom.convolution import Convolution, convolve_backward, pieces
from longspan.ops.nystrom.documents import Group, group_documents
from longspan.ops.nystrom.landmarks import run_index, run_means, run_means_backward, run_sizes
from longspan.ops.nystrom.pinv import iterative_inverse, iterative_inverse_backward


def forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    query_landmarks: Tensor | None,
    key_landmarks: Tensor | None,
    conv_weight: Tensor | None,
    num_landmarks: int,
    inverse_iterations: int,
    exact_inverse_scale: bool,
    scale: float,
) -> Tensor:
    """The operator's body: attention of every document of the batch, (B, N, H, D)."""
    context = None
    with torch.autocast(query.device.type, enabled=False):
        for group in _groups(query, segment_ids, num_landmarks, query_landmarks, key_landmarks):
            q, k, v = (group.gather(x) for x in (query, key, value))
            if group.short:
                keys, values, bias = _heads(k), _heads(v), _bias(group.mask, k)
            else:
                inner = _Inner(group, q, k, v, query_landmarks, key_landmarks, num_landmarks, scale)
                values = summarise(inner.kernel_2, inner.context, inverse_iterations, exact_inverse_scale)
                keys, bias = _heads(inner.key_landmarks), None
            convolution = None if conv_weight is None else Convolution(v, conv_weight, group.mask)
            part = torch.empty(q.shape, dtype=q.dtype, device=q.device)
            for start, stop in pieces(q.shape[1]):
                piece = attend(_heads(q[:, start:stop]), keys, values, bias, scale)[0].transpose(1, 2)
                if convolution is None:
                    part[:, start:stop] = piece
                else:
                    torch.add(piece, convolution.rows(start, stop), out=part[:, start:stop])
            if group.rows is None:
                return part if group.mask is None else part.masked_fill_(~group.mask[:, :, None, None], 0)
            if context is None:
                context = query.new_zeros(query.shape)
            group.scatter(part, context)
    return query.new_zeros(query.shape) if context is None else context


def backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment_ids: Tensor | None,
    query_landmarks: Tensor | None,
    key_landmarks: Tensor | None,
    conv_weight: Tensor | None,
    num_landmarks: int,
    inverse_iterations: int,
    exact_inverse_scale: bool,
    scale: float,
) -> list[Tensor]:
    """Gradients of query, key, value, query_landmarks, key_landmarks and conv_weight; an absent one has 0 elements."""
    inputs = (query, key, value, query_landmarks, key_landmarks, conv_weight)
    grads = [query.new_zeros(0) if x is None else x.new_zeros(x.shape) for x in inputs]
    with torch.autocast(query.device.type, enabled=False):
        for group in _groups(query, segment_ids, num_landmarks, query_landmarks, key_landmarks):
            q, k, v, g = (group.gather(x) for x in (query, key, value, grad))
            if group.mask is not None:  # the forward writes nothing at padding
                g = g.masked_fill(~group.mask[:, :, None, None], 0)
            if group.short:
                bias = _bias(group.mask, k)
                args = _heads(q), _heads(k), _heads(v)
                parts = attend_backward(_heads(g), *args, *attend(*args, bias, scale), bias, scale)
                dq, dk, dv = (x.transpose(1, 2) for x in parts)
            else:
                inner = _Inner(group, q, k, v, query_landmarks, key_landmarks, num_landmarks, scale)
                dq, dk, dv, d_landmarks = _long_backward(g, q, k, v, inner, inverse_iterations, exact_inverse_scale)
                for index, given, part in zip((3, 4), (query_landmarks, key_landmarks), d_landmarks, strict=True):
                    if given is not None:
                        _scatter_rows(group, part, grads[index])
                    elif index == 3:
                        dq = dq + run_means_backward(part, inner.run, inner.sizes)
                    else:
                        dk = dk + run_means_backward(part, inner.run, inner.sizes)
            if conv_weight is not None:
                d_conv, d_weight = convolve_backward(g, v, conv_weight, group.mask)
                dv = dv + d_conv
                grads[5] += d_weight
            for part, target in zip((dq, dk, dv), grads, strict=False):
                group.scatter(part, target)
    return grads


def landmark_softmax(query_landmarks: Tensor, key_landmarks: Tensor, scale: float) -> Tensor:
    """The middle factor (B, H, m, m) of landmarks (B, H, m, D), in at least float32."""
    wide = torch.promote_types(query_landmarks.dtype, torch.float32)
    return (query_landmarks.to(wide) @ key_landmarks.to(wide).mT * scale).softmax(-1)


def summarise(kernel_2: Tensor, context: Tensor, inverse_iterations: int, exact_inverse_scale: bool) -> Tensor:
    """``pinv(kernel_2) context``, (B, H, m, D), in the dtype of ``context``: what all queries read through K̃."""
    inverse = iterative_inverse(kernel_2, inverse_iterations, exact_inverse_scale)
    return (inverse @ context.to(inverse.dtype)).to(context.dtype)


class _Inner:
    """What forward and backward both need of a group of long documents before the inverse."""

    def __init__(
        self,
        group: Group,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_landmarks: Tensor | None,
        key_landmarks: Tensor | None,
        num_landmarks: int,
        scale: float,
    ):
        self.scale = scale
        self.bias = _bias(group.mask, key)
        self.run = run_index(query.shape[0], query.shape[1], group.mask, num_landmarks, query.device)
        self.sizes = run_sizes(self.run, num_landmarks)
        if query_landmarks is None:
            self.query_landmarks = run_means(query, self.run, self.sizes)
        else:
            self.query_landmarks = group.gather_rows(query_landmarks)
        if key_landmarks is None:
            self.key_landmarks = run_means(key, self.run, self.sizes)
        else:
            self.key_landmarks = group.gather_rows(key_landmarks)
        self.kernel_2 = landmark_softmax(_heads(self.query_landmarks), _heads(self.key_landmarks), scale)
        # kernel_3 V, and the log-sum-exp of kernel_3's rows
        self.context, self.lse = attend(_heads(self.query_landmarks), _heads(key), _heads(value), self.bias, scale)


def _long_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, inner: _Inner, iterations: int, exact_scale: bool
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Through ``kernel_1 (inverse (kernel_3 V))``, outermost first; the last result belongs to the landmarks."""
    scale, wide = inner.scale, inner.kernel_2.dtype
    q, k, v, g = (_heads(x) for x in (query, key, value, grad))
    q_mean, k_mean = _heads(inner.query_landmarks), _heads(inner.key_landmarks)

    inverse = iterative_inverse(inner.kernel_2, iterations, exact_scale)
    summary = (inverse @ inner.context.to(wide)).to(q.dtype)
    context, lse = attend(q, k_mean, summary, None, scale)
    dq, dk_mean, d_summary = attend_backward(g, q, k_mean, summary, context, lse, None, scale)

    d_summary = d_summary.to(wide)
    d_inner = (inverse.mT @ d_summary).to(q.dtype)
    d_inverse = d_summary @ inner.context.to(wide).mT
    d_kernel = iterative_inverse_backward(d_inverse, inner.kernel_2, iterations, exact_scale)
    d_scores = inner.kernel_2 * (d_kernel - (d_kernel * inner.kernel_2).sum(-1, keepdim=True)) * scale

    dq_mean, dk, dv = attend_backward(d_inner, q_mean, k, v, inner.context, inner.lse, inner.bias, scale)
    dq_mean = dq_mean.to(wide) + d_scores @ k_mean.to(wide)
    dk_mean = dk_mean.to(wide) + d_scores.mT @ q_mean.to(wide)
    dq, dk, dv = (x.transpose(1, 2) for x in (dq, dk, dv))
    return dq, dk, dv, (dq_mean.transpose(1, 2).to(query.dtype), dk_mean.transpose(1, 2).to(query.dtype))


def _groups(
    query: Tensor,
    segment_ids: Tensor | None,
    num_landmarks: int,
    query_landmarks: Tensor | None,
    key_landmarks: Tensor | None,
) -> list[Group]:
    given = query_landmarks is not None or key_landmarks is not None
    return group_documents(query.shape[0], query.shape[1], segment_ids, num_landmarks, one_a_row=given)


def _scatter_rows(group: Group, x: Tensor, target: Tensor) -> None:
    if group.rows is None:
        target.copy_(x)
    else:
        target[group.rows] = x


def _heads(x: Tensor) -> Tensor:
    """(B, N, H, D) as (B, H, N, D), a view."""
    return x.transpose(1, 2)


def _bias(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """Additive key mask (S, 1, 1, L)."""
    if mask is None:
        return None
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill_(~mask, float("-inf"))[
        :, None, None
    ]
