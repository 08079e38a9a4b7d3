"""Landmarks: the means of m runs of consecutive valid tokens of a document.

The token of rank r among the n valid ones of its document belongs to run ``r * m // n``. Runs therefore differ by at
most one token, padding is counted nowhere, and any n goes with any m; for n <= m each token is a run of its own and
m - n runs are empty.
"""

from __future__ import annotations

import torch
from torch import Tensor

# rows that are added at a time
_PIECE = 4096


def run_index(batch: int, length: int, mask: Tensor | None, num_landmarks: int, device: torch.device) -> Tensor:
    """The run of each token, (B, N) int64; padding is in run ``num_landmarks``.

    ``mask`` is (B, N) bool, True where valid; None where every token is.
    """
    if mask is None:
        rank = torch.arange(length, device=device)
        return (rank * num_landmarks // length).expand(batch, length)
    rank = mask.cumsum(1) - 1
    count = mask.sum(1, keepdim=True).clamp(min=1)
    return torch.where(mask, rank * num_landmarks // count, num_landmarks)


def run_sizes(run: Tensor, num_landmarks: int) -> Tensor:
    """Number of tokens in each run, (B, m) int64."""
    batch = run.shape[0]
    sizes = torch.bincount(_flat(run, num_landmarks), minlength=batch * (num_landmarks + 1))
    return sizes.view(batch, num_landmarks + 1)[:, :num_landmarks]


def run_means(x: Tensor, run: Tensor, sizes: Tensor) -> Tensor:
    """Mean of each run, summed in at least float32; 0 for an empty one.

    Args:
        x: (B, N, H, D).
        run: (B, N) from :func:`run_index`.
        sizes: (B, m) from :func:`run_sizes`.

    Returns:
        (B, m, H, D) in the dtype of ``x``.
    """
    (batch, length, heads, size), num_landmarks = x.shape, sizes.shape[1]
    wide = torch.promote_types(x.dtype, torch.float32)
    # one further row a document takes the padding
    sums = torch.zeros(batch * (num_landmarks + 1), heads * size, dtype=wide, device=x.device)
    rows, index = x.reshape(batch * length, heads * size), _flat(run, num_landmarks)
    # in pieces, so that no whole copy of a half-precision input is made
    for part, where in zip(rows.split(_PIECE), index.split(_PIECE), strict=True):
        sums.index_add_(0, where, part.to(wide))
    sums = sums.view(batch, num_landmarks + 1, heads, size)[:, :num_landmarks]
    return (sums / sizes.clamp(min=1)[:, :, None, None]).to(x.dtype)


def run_means_backward(grad: Tensor, run: Tensor, sizes: Tensor) -> Tensor:
    """Gradient (B, N, H, D) of the means' input, given that of the means (B, m, H, D); 0 at padding."""
    batch, num_landmarks, heads, size = grad.shape
    shares = grad.new_zeros(batch, num_landmarks + 1, heads, size)
    shares[:, :num_landmarks] = grad / sizes.clamp(min=1)[:, :, None, None]
    index = _flat(run, num_landmarks)
    return shares.view(-1, heads * size).index_select(0, index).view(*run.shape, heads, size)


def _flat(run: Tensor, num_landmarks: int) -> Tensor:
    rows = torch.arange(run.shape[0], device=run.device).unsqueeze(1)
    return (rows * (num_landmarks + 1) + run).reshape(-1)
