"""Attention maps of the window operation, in the layout that Longformer's users know, recomputed on request.

No backend keeps a probability, so the maps are computed apart, differentiably, from queries and keys. Shapes: B batch,
N tokens, H heads, D head size, x the largest number of global tokens in a row, W = left + right + 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# queries per block of scores
_BLOCK = 64


def attention_maps(
    query: Tensor,
    key: Tensor,
    window_size: tuple[int, int],
    *,
    segment_ids: Tensor | None = None,
    global_mask: Tensor | None = None,
    global_query: Tensor | None = None,
    global_key: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Probabilities of the window part and of the global rows.

    Args:
        query, key: (B, N, H, D).
        window_size, segment_ids, global_mask, scale: as in :func:`sliding_window_attention`.
        global_query, global_key: (B, N, H, D) through the global projections; by default ``query`` and ``key``.

    Returns:
        (B, H, N, x + W): weights of each token to its row's global tokens, in order, then to the window, the token
        itself at ``x + left``; a global token within the window is weighted in the first columns only; rows of
        padding and of global tokens are 0. And (B, H, N, x): weights of each global token over all tokens, 0 where a
        row has fewer; None without a global token.
    """
    batch, length, heads, size = query.shape
    scale = size**-0.5 if scale is None else scale
    device = query.device
    if segment_ids is None:
        segment_ids = torch.zeros(batch, length, dtype=torch.int64, device=device)
    valid = segment_ids >= 0
    is_global = torch.zeros_like(valid) if global_mask is None else (global_mask != 0) & valid

    window = _window_scores(query * scale, key, *window_size)
    keys = torch.where(valid & ~is_global, segment_ids, -1)
    window_ids = F.pad(keys, window_size, value=-1).unfold(1, sum(window_size) + 1, 1)  # (B, N, W)
    same = (window_ids == segment_ids[:, :, None]) & valid[:, :, None]
    scores = window.masked_fill(~same[:, None], float("-inf"))

    count = int(is_global.sum(1).max()) if batch and length else 0
    if count:
        # the row's global tokens first, in order
        index = torch.argsort(~is_global, dim=1, stable=True)[:, :count]
        exists = is_global.gather(1, index)
        chosen = index[:, :, None, None].expand(-1, -1, heads, size)
        ids = segment_ids.gather(1, index).masked_fill(~exists, -1)
        columns = torch.einsum("bihd,bxhd->bhix", query * scale, key.gather(1, chosen))
        seen = ids[:, None, :] == segment_ids.masked_fill(~valid, -2)[:, :, None]  # (B, N, x)
        scores = torch.cat([columns.masked_fill(~seen[:, None], float("-inf")), scores], -1)
    local = _softmax(scores, (valid & ~is_global)[:, None, :, None], -1).to(query.dtype)
    if not count:
        return local, None

    global_query = query if global_query is None else global_query
    global_key = key if global_key is None else global_key
    scores = torch.einsum("bjhd,bxhd->bhjx", global_key, global_query.gather(1, chosen) * scale)
    scores = scores.masked_fill(~seen[:, None], float("-inf"))
    return local, _softmax(scores, exists[:, None, None, :], -2).to(query.dtype)


def dense_map(
    local: Tensor, global_rows: Tensor | None, window_size: tuple[int, int], global_mask: Tensor | None = None
) -> Tensor:
    """The whole map (B, H, N, N) from the two of :func:`attention_maps`: N x N numbers a head, for looking at.

    Entry (i, j) is the weight of token i to token j; the rows of valid tokens sum to 1, those of padding are 0.

    Args:
        local: (B, H, N, x + W).
        global_rows: (B, H, N, x), or None without a global token.
        window_size: that of the maps; ``(w // 2, w // 2)`` for a layer of window w.
        global_mask: (B, N), that of the maps, without global tokens on padding; needed with ``global_rows``.

    Raises:
        ValueError: the maps do not have the width of the window, or ``global_mask`` is missing.
    """
    batch, heads, length, width = local.shape
    left, right = window_size
    count = 0 if global_rows is None else global_rows.shape[-1]
    if width != count + left + right + 1:
        raise ValueError(
            f"local must have {count} columns for global tokens and {left + right + 1} for window_size "
            f"{tuple(window_size)}, got {width}"
        )
    place = torch.arange(length, device=local.device)[:, None]
    place = place + torch.arange(-left, right + 1, device=local.device)
    inside = (place >= 0) & (place < length)
    full = local.new_zeros(batch, heads, length, length)
    index = place.clamp(0, max(length - 1, 0)).expand(batch, heads, -1, -1)
    full = full.scatter_add(-1, index, local[..., count:] * inside)
    if global_rows is None:
        return full
    if global_mask is None:
        raise ValueError("global_mask must say which tokens the maps' first columns are, got None")
    order = torch.argsort((global_mask == 0), dim=1, stable=True)[:, :count]
    full = full.scatter_add(-1, order[:, None, None, :].expand(-1, heads, length, -1), local[..., :count])
    rows = order[:, None, :, None].expand(-1, heads, -1, length)
    return full.scatter_add(2, rows, global_rows.transpose(2, 3))


def _window_scores(query: Tensor, key: Tensor, left: int, right: int) -> Tensor:
    """Scores (B, H, N, W) of each query against its window, out-of-range keys included."""
    batch, length, heads, _ = query.shape
    blocks = -(-length // _BLOCK)
    tail = blocks * _BLOCK - length
    queries = F.pad(query, (0, 0, 0, 0, 0, tail)).unflatten(1, (blocks, _BLOCK)).transpose(2, 3)
    keys = F.pad(key, (0, 0, 0, 0, left, tail + right)).unfold(1, _BLOCK + left + right, _BLOCK)  # (B, n, H, D, KW)
    scores = queries @ keys
    # query i of a block finds its window at the keys i .. i + W - 1 of the block
    width = left + right + 1
    index = torch.arange(_BLOCK, device=query.device)[:, None] + torch.arange(width, device=query.device)
    scores = scores.gather(-1, index.expand(batch, blocks, heads, -1, -1))
    return scores.transpose(2, 3).flatten(1, 2)[:, :length].transpose(1, 2)


def _softmax(scores: Tensor, rows: Tensor, dim: int) -> Tensor:
    """Softmax of the rows that count, 0 elsewhere, with finite gradients."""
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.to(wide).masked_fill(~rows, 0.0).softmax(dim).masked_fill(~rows, 0.0)
