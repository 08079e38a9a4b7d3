"""The sliding window with attention dropout: window and global columns joined in one explicit softmax per step.

Shapes: T tokens of the flat row, H heads, D head size, n blocks of a step, KW keys of a window, G columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .band import Band, Run, additive, fold_windows
from .dropout import Keep, attend_dropped, attend_dropped_backward

# tokens per step: a step's probabilities stay in the cache
_CHUNK = 128


@dataclass(frozen=True)
class Columns:
    """The global tokens that queries see besides their window.

    Attributes:
        positions: (G,) positions in the flat row of the caller.
        ids: (G,) their documents.
        query_ids: (T,) the document of each query in the band's own order, -1 for none.
    """

    positions: Tensor
    ids: Tensor
    query_ids: Tensor


@dataclass(frozen=True)
class _Step:
    run: Run
    keys: Tensor  # (n, H, KW + G, D)
    values: Tensor
    mask: Tensor  # (n, 1, BQ, KW + G)
    columns: Tensor  # (G,) which of the columns take part


def dropped_forward(
    query: Tensor,
    windowed: tuple[Tensor, Tensor],
    columned: tuple[Tensor, Tensor],
    band: Band,
    columns: Columns,
    scale: float,
    keep: Keep,
) -> tuple[Tensor, Tensor]:
    """Context (T, H, D) and log-sum-exp (T, H).

    Args:
        query: (T, H, D) in the band's order.
        windowed: keys and values (T, H, D) in the band's order.
        columned: keys and values (G, H, D) of the columns.
        band, columns, scale, keep: as named.
    """
    context = torch.zeros(query.shape, dtype=query.dtype, device=query.device)
    lse = torch.zeros(query.shape[:2], dtype=torch.promote_types(query.dtype, torch.float32), device=query.device)
    for step in _steps(query, windowed, columned, band, columns):
        rows, count = _rows(step.run, band, len(query))
        queries = band.queries(query, step.run)
        kept = keep.draw(queries, step.keys)
        out, out_lse, _ = attend_dropped(queries, step.keys, step.values, step.mask, scale, kept)
        context[rows] = out.transpose(1, 2).flatten(0, 1)[:count]
        lse[rows] = out_lse.transpose(1, 2).flatten(0, 1)[:count]
    return context, lse


def dropped_backward(
    grad: Tensor,
    query: Tensor,
    windowed: tuple[Tensor, Tensor],
    columned: tuple[Tensor, Tensor],
    band: Band,
    columns: Columns,
    scale: float,
    keep: Keep,
) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Gradients of query, of the windowed keys and values (T, H, D) and of the columns' (G, H, D)."""
    total, block = len(query), band.block
    room = (-(-total // block) + -(-band.keys_per_block // block)) * block
    grad_query = torch.zeros(query.shape, dtype=query.dtype, device=query.device)
    folded = [torch.zeros((room, *x.shape[1:]), dtype=x.dtype, device=x.device) for x in windowed]
    grad_columned = [torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in columned]
    for step in _steps(query, windowed, columned, band, columns):
        rows, count = _rows(step.run, band, total)
        queries = band.queries(query, step.run)
        kept = keep.draw(queries, step.keys)
        d_query, *d_pairs = attend_dropped_backward(
            band.queries(grad, step.run), queries, step.keys, step.values, step.mask, scale, kept
        )
        grad_query[rows] = d_query.transpose(1, 2).flatten(0, 1)[:count]
        for target, column_target, d_pair in zip(folded, grad_columned, d_pairs, strict=True):
            window, column = d_pair.split([band.keys_per_block, len(step.columns)], 2)
            fold_windows(window, target, step.run, block)
            column_target[step.columns] += column.sum(0).transpose(0, 1)
    here = slice(band.left, band.left + total)
    return grad_query, (folded[0][here], folded[1][here]), (grad_columned[0], grad_columned[1])


def _steps(
    query: Tensor, windowed: tuple[Tensor, Tensor], columned: tuple[Tensor, Tensor], band: Band, columns: Columns
) -> Iterator[_Step]:
    wide = torch.promote_types(query.dtype, torch.float32)
    shape_mask = band.shape_mask(wide, query.device)
    size = max(_CHUNK // band.block, 1)
    for whole in band.runs():
        for first in range(whole.first, whole.last, size):
            run = Run(first, min(first + size, whole.last), whole.uniform)
            count = run.last - run.first
            ids = band.queries(columns.query_ids[:, None] + 1, run)[:, 0] - 1  # (n, BQ), pads with -1
            chosen = torch.isin(columns.ids, ids).nonzero().squeeze(1)
            seen = ids[:, :, None] == columns.ids[chosen]
            mask = band.mask(run, shape_mask).expand(count, 1, -1, -1)
            mask = torch.cat([mask, additive(seen, wide)[:, None]], 3)
            keys, values = (
                torch.cat([band.keys(x, run), y[chosen].transpose(0, 1).expand(count, -1, -1, -1)], 2)
                for x, y in zip(windowed, columned, strict=True)
            )
            yield _Step(run, keys, values, mask, chosen)


def _rows(run: Run, band: Band, total: int) -> tuple[slice, int]:
    rows = slice(run.first * band.block, min(run.last * band.block, total))
    return rows, rows.stop - rows.start
