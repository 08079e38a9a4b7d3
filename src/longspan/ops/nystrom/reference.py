"""Nyström attention written out: dense factors, one document at a time, gradients by autograd. The oracle."""

from __future__ import annotations

import torch
from torch import Tensor

from longspan.ops.nystrom.factors import attention_factors


def nystrom_attention(
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
    """Backend ``reference``; arguments as checked by :func:`longspan.ops.nystrom_attention`.

    Traceable unless ``segment_ids`` are integers, whose documents are found one by one.
    """

    def rows(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, landmarks: tuple) -> Tensor:
        factors = attention_factors(
            query, key, mask, num_landmarks, scale,
            query_landmarks=landmarks[0], key_landmarks=landmarks[1],
            inverse_iterations=inverse_iterations, exact_inverse_scale=exact_inverse_scale,
        )  # fmt: skip
        value = value if mask is None else value.masked_fill(~mask[:, :, None, None], 0)
        wide = factors.inverse.dtype
        summary = factors.inverse @ (factors.kernel_3 @ value.transpose(1, 2)).to(wide)  # right to left
        context = (factors.kernel_1 @ summary.to(value.dtype)).transpose(1, 2)
        if conv_weight is not None:
            context = context + _band_product(value, conv_weight)
        return context if mask is None else context.masked_fill(~mask[:, :, None, None], 0)

    if segment_ids is None or segment_ids.dtype == torch.bool:
        return rows(query, key, value, segment_ids, (query_landmarks, key_landmarks))

    context = query.new_zeros(query.shape)
    for row, ids in enumerate(segment_ids):
        for document in ids[ids >= 0].unique():
            member = ids == document
            columns = member.nonzero().flatten()
            span = slice(int(columns[0]), int(columns[-1]) + 1)
            part = rows(
                query[row : row + 1, span], key[row : row + 1, span], value[row : row + 1, span],
                member[None, span],
                tuple(None if x is None else x[row : row + 1] for x in (query_landmarks, key_landmarks)),
            )  # fmt: skip
            context = context.index_put((torch.tensor(row), columns), part[0, member[span]])
    # a batch of padding alone still belongs to the graph
    given = (query, key, value, query_landmarks, key_landmarks, conv_weight)
    return context + sum(x.flatten()[:0].sum() for x in given if x is not None)


def _band_product(value: Tensor, weight: Tensor) -> Tensor:
    """The convolution as a banded N x N matrix for each head; ``value`` is 0 where it must not be read."""
    length, size = value.shape[1], weight.shape[1]
    position = torch.arange(length, device=value.device)
    tap = position[None, :] - position[:, None] + size // 2
    band = torch.where((tap >= 0) & (tap < size), weight[:, tap.clamp(0, size - 1)], 0)  # (H, N, N)
    return (band @ value.transpose(1, 2)).transpose(1, 2)
