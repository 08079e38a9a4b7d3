"""The three matrices whose product stands for the N x N attention map, never multiplied out unless asked."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from longspan.ops.nystrom.landmarks import run_index
from longspan.ops.nystrom.pinv import iterative_inverse


class NystromFactors(NamedTuple):
    """Nyström attention of one layer as ``kernel_1 @ inverse @ kernel_3`` (arXiv 2102.03902, equation 13).

    O(N m) numbers instead of N²; the convolution is not part of them. Rows of padding queries and columns of padding
    keys are 0. For a document of at most m tokens the product is its exact softmax attention: ``inverse`` is then the
    identity and ``kernel_3`` says which token each landmark is.

    Attributes:
        kernel_1: (B, H, N, m), ``softmax(Q landmarks(K)ᵀ)``.
        inverse: (B, H, m, m), the iterative inverse of ``softmax(landmarks(Q) landmarks(K)ᵀ)``, at least float32.
        kernel_3: (B, H, m, N), ``softmax(landmarks(Q) Kᵀ)``.
    """

    kernel_1: Tensor
    inverse: Tensor
    kernel_3: Tensor

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}={tuple(x.shape)}" for name, x in self._asdict().items())
        return f"NystromFactors({shapes})"

    def rows(self, queries: Tensor | list[int]) -> Tensor:
        """Attention of some queries over all keys, (B, H, len(queries), N), in O(N) each: ``rows([0])`` for ``[CLS]``.

        Nyström attention approximates probabilities: entries may be slightly negative.
        """
        index = torch.as_tensor(queries, dtype=torch.int64, device=self.kernel_1.device)
        return self._product(self.kernel_1.index_select(2, index))

    def to_dense(self) -> Tensor:
        """The whole map, (B, H, N, N): N² numbers a head."""
        return self._product(self.kernel_1)

    def _product(self, kernel_1: Tensor) -> Tensor:
        wide = self.inverse.dtype
        return (kernel_1.to(wide) @ self.inverse @ self.kernel_3.to(wide)).to(kernel_1.dtype)


def attention_factors(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    num_landmarks: int,
    scale: float,
    *,
    query_landmarks: Tensor | None = None,
    key_landmarks: Tensor | None = None,
    inverse_iterations: int = 6,
    exact_inverse_scale: bool = False,
) -> NystromFactors:
    """The factors of a batch that holds one document a row, by plain differentiable matrix products.

    Shapes and meanings as in :func:`longspan.ops.nystrom_attention`; ``mask`` is (B, N) bool or None.
    """
    batch, length = query.shape[:2]
    if mask is None:
        mask = torch.ones(batch, length, dtype=torch.bool, device=query.device)
    run = run_index(batch, length, mask, num_landmarks, query.device)
    member = run[:, None, :] == torch.arange(num_landmarks, device=query.device)[:, None]  # (B, m, N)
    count = member.sum(-1)
    short = (mask.sum(1) <= num_landmarks)[:, None, None, None]

    wide = torch.promote_types(query.dtype, torch.float32)
    average = member.to(wide) / count.clamp(min=1).unsqueeze(-1)
    if query_landmarks is None:
        query_landmarks = _means(average, query)
    exact_landmarks = _means(average, key)
    key_landmarks = exact_landmarks if key_landmarks is None else torch.where(short, exact_landmarks, key_landmarks)

    filled = (count > 0)[:, None, None, :]
    visible = mask[:, None, None, :]
    kernel_1 = _softmax(query, key_landmarks, filled, scale).masked_fill(~mask[:, None, :, None], 0)
    identity = torch.eye(num_landmarks, dtype=wide, device=query.device)
    if length <= num_landmarks:  # every document is short
        inverse = identity.expand(batch, query.shape[2], num_landmarks, num_landmarks)
        kernel_3 = member[:, None].expand(-1, query.shape[2], -1, -1).to(query.dtype)
        return NystromFactors(kernel_1, inverse, kernel_3)

    kernel_2 = _softmax(query_landmarks, key_landmarks, filled, scale)
    kernel_3 = _softmax(query_landmarks, key, visible, scale)
    kernel_2 = torch.where(short, identity, kernel_2.to(wide))
    inverse = torch.where(short, identity, iterative_inverse(kernel_2, inverse_iterations, exact_inverse_scale))
    kernel_3 = torch.where(short, member[:, None].to(kernel_3.dtype), kernel_3)
    return NystromFactors(kernel_1, inverse, kernel_3)


def attention_map(query: Tensor, key: Tensor, segment_ids: Tensor | None, scale: float | None = None) -> Tensor:
    """Exact softmax attention as a dense map (B, H, N, N), which a caller asked for; rows of padding are 0.

    Shapes and meanings as in :func:`longspan.ops.nystrom_attention`; rows may hold several documents.
    """
    if segment_ids is None:
        visible = torch.ones((), dtype=torch.bool, device=query.device)
    else:
        ids = segment_ids.to(torch.int64) - 1 if segment_ids.dtype == torch.bool else segment_ids
        visible = ((ids[:, :, None] == ids[:, None, :]) & (ids >= 0)[:, :, None])[:, None]
    return _softmax(query, key, visible, query.shape[-1] ** -0.5 if scale is None else scale)


def _means(average: Tensor, x: Tensor) -> Tensor:
    return (average @ x.flatten(2).to(average.dtype)).unflatten(2, x.shape[2:]).to(x.dtype)


def _softmax(query: Tensor, key: Tensor, visible: Tensor, scale: float) -> Tensor:
    """Probabilities (B, H, M, N) of (B, M, H, D) and (B, N, H, D); a row without a visible key is 0."""
    scores = query.transpose(1, 2) @ key.transpose(1, 2).mT * scale
    scores = scores.masked_fill(~visible, float("-inf"))
    nothing = ~visible.any(-1, keepdim=True)
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.masked_fill(nothing, 0).softmax(-1, dtype=wide).masked_fill(nothing, 0).to(scores.dtype)
