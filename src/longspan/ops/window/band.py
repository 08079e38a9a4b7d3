"""The sliding window over blocks of queries: each block attends to the keys of its own overlapping window.

Block b holds the queries [b * BQ, (b + 1) * BQ); its keys are [b * BQ - left, (b + 1) * BQ + right), KW of them, read
through an overlapping view without a copy. Blocks fall into three kinds: without a query (skipped), uniform (one
document fills the whole key window: all of them share one (1, 1, BQ, KW) mask) and mixed (the mask is built for a few
blocks at a time). Neither an N x N nor an N x window tensor exists.

Shapes: T tokens of the flat row, H heads, D head size, n blocks of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..fused import attend, attend_backward

# tokens per step: bounds the masks of mixed blocks, the scores where no fused kernel is, and in the backward the
# per-window key gradients; one step for a whole run would be 1 % faster
_CHUNK = 1024


@dataclass(frozen=True)
class Run:
    """Blocks [first, last) of one kind."""

    first: int
    last: int
    uniform: bool


@dataclass(frozen=True)
class Band:
    """A window over a flat row.

    Attributes:
        left, right: query i sees key j when ``-left <= j - i - offset <= right``.
        query_ids: (T,) int64; a query sees the keys of its own non-negative id.
        key_ids: (S,) int64.
        offset: row of the keys at which query 0 itself stands; not 0 where the queries are a piece of a longer row.
    """

    left: int
    right: int
    query_ids: Tensor
    key_ids: Tensor
    offset: int = 0

    @property
    def block(self) -> int:
        """Queries per block: small for narrow windows, whose margins would dominate otherwise."""
        return 32 if self.left + self.right <= 128 else 64

    @property
    def keys_per_block(self) -> int:
        """KW."""
        return self.block + self.left + self.right

    def runs(self) -> list[Run]:
        """Consecutive blocks of one kind, without those that hold no query."""
        block, total = self.block, len(self.query_ids)
        count = -(-total // block)
        tail = count * block - total
        queries = F.pad(self.query_ids, (0, tail), value=-1).view(count, block).amax(1)
        windows = self._windows(self.key_ids, Run(0, count, False), -3)
        uniform = windows.amin(1) == windows.amax(1)
        kind = torch.where(queries < 0, 0, torch.where(uniform, 1, 2))
        values, counts = torch.unique_consecutive(kind, return_counts=True)
        found, first = [], 0
        for value, size in zip(values.tolist(), counts.tolist(), strict=True):
            if value:
                found.append(Run(first, first + size, value == 1))
            first += size
        return found

    def queries(self, x: Tensor, run: Run) -> Tensor:
        """Blocks (n, H, BQ, D) of a (T, H, D) tensor: a view, but for a last block that is not full."""
        start, stop = run.first * self.block, run.last * self.block
        piece = x[start:stop]
        if stop > len(x):
            piece = F.pad(piece, (0, 0) * (x.dim() - 1) + (0, stop - len(x)))
        return piece.unflatten(0, (run.last - run.first, self.block)).transpose(1, 2)

    def keys(self, x: Tensor, run: Run) -> Tensor:
        """Windows (n, H, KW, D) of an (S, H, D) tensor: an overlapping view; only the ends of the row are padded."""
        return self._windows(x, run, 0).transpose(2, 3)

    def _windows(self, x: Tensor, run: Run, padding: int) -> Tensor:
        """Windows (n, ..., KW) of an (S, ...) tensor, overlapping views."""
        start = run.first * self.block - self.left + self.offset
        stop = run.last * self.block + self.right + self.offset
        return padded_slice(x, start, stop, padding).unfold(0, self.keys_per_block, self.block)

    def shape_mask(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The band inside a block, (1, 1, BQ, KW), additive."""
        offset = torch.arange(self.keys_per_block, device=device) - torch.arange(self.block, device=device)[:, None]
        allowed = (offset >= 0) & (offset <= self.left + self.right)
        return additive(allowed, dtype)[None, None]

    def mask(self, run: Run, shape_mask: Tensor) -> Tensor:
        """The additive mask of a run: the shared one, or (n, 1, BQ, KW) for mixed blocks."""
        if run.uniform:
            return shape_mask
        queries = self.queries(self.query_ids[:, None] + 1, run)[:, 0] - 1  # pads with -1
        keys = self._windows(self.key_ids, run, -3)
        same = (queries[:, :, None] == keys[:, None, :]) & (queries[:, :, None] >= 0)
        return shape_mask.masked_fill(~same[:, None], float("-inf"))

    def chunks(self, run: Run) -> Iterator[Run]:
        """The run in steps of a bounded number of tokens."""
        step = max(_CHUNK // self.block, 1)
        for first in range(run.first, run.last, step):
            yield Run(first, min(first + step, run.last), run.uniform)


def padded_slice(x: Tensor, start: int, stop: int, padding: int) -> Tensor:
    """``x[start:stop]`` of the first axis, with ``padding`` beyond the ends of ``x``; a view where none is needed."""
    piece = x[max(start, 0) : min(stop, len(x))]
    if start < 0 or stop > len(x):
        piece = F.pad(piece, (0, 0) * (x.dim() - 1) + (max(-start, 0), max(stop - len(x), 0)), value=padding)
    return piece


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """A bool mask as 0 where True and -inf where False."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, float("-inf"))


def window_kernel(name: str) -> Callable[[Tensor, Tensor, Tensor, Band, float], tuple[Tensor, Tensor]]:
    """:func:`band_forward` for "aten", the same function written in C++ for "cpp", or densely for "reference"."""
    if name == "aten":
        return band_forward
    if name == "reference":
        return dense_band_forward
    from . import cpp

    return cpp.band_forward


def band_forward(query: Tensor, key: Tensor, value: Tensor, band: Band, scale: float) -> tuple[Tensor, Tensor]:
    """Context (T, H, D) and log-sum-exp (T, H) of the window part; rows without a query id are 0 in both."""
    context = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    wide = torch.float64 if query.dtype == torch.float64 else torch.float32
    lse = torch.empty(query.shape[:2], dtype=wide, device=query.device)
    shape_mask = band.shape_mask(wide, query.device)
    done = 0
    for whole in band.runs():
        for run in band.chunks(whole):
            rows = slice(run.first * band.block, min(run.last * band.block, len(query)))
            _clear(context, lse, done, rows.start)
            out, out_lse = attend(
                band.queries(query, run),
                band.keys(key, run),
                band.keys(value, run),
                band.mask(run, shape_mask),
                scale,
            )
            count = rows.stop - rows.start
            context[rows] = out.transpose(1, 2).flatten(0, 1)[:count]
            lse[rows] = out_lse.transpose(1, 2).flatten(0, 1)[:count]
            done = rows.stop
    _clear(context, lse, done, len(query))
    return context, lse


def dense_band_forward(query: Tensor, key: Tensor, value: Tensor, band: Band, scale: float) -> tuple[Tensor, Tensor]:
    """:func:`band_forward` with all scores at once, quadratic."""
    places = torch.arange(len(key), device=key.device) - band.offset
    offset = places - torch.arange(len(query), device=query.device)[:, None]
    same = (band.query_ids[:, None] == band.key_ids) & (band.query_ids >= 0)[:, None]
    allowed = same & (offset >= -band.left) & (offset <= band.right)
    wide = torch.float64 if query.dtype == torch.float64 else torch.float32
    scores = torch.einsum("ihd,jhd->hij", query.to(wide) * scale, key.to(wide))
    empty = ~allowed.any(-1)
    scores = scores.masked_fill(~(allowed | empty[:, None]), float("-inf")).masked_fill(empty[:, None], 0.0)
    lse = scores.logsumexp(-1).masked_fill(empty, 0.0)
    context = torch.einsum("hij,jhd->ihd", scores.softmax(-1).masked_fill(empty[:, None], 0.0), value.to(wide))
    return context.to(query.dtype), lse.T


def band_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    band: Band,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients (T, H, D) of the window part, from the merged context and log-sum-exp (+inf where no query is)."""
    total, block = len(query), band.block
    pieces = -(-band.keys_per_block // block)
    blocks = -(-total // block)
    # windows are added at their own place, left of the row included; the last piece may reach past the window
    room = (blocks + pieces) * block
    grad_query = torch.zeros(query.shape, dtype=query.dtype, device=query.device)
    grad_key = torch.zeros((room, *key.shape[1:]), dtype=key.dtype, device=key.device)
    grad_value = torch.zeros((room, *value.shape[1:]), dtype=value.dtype, device=value.device)
    shape_mask = band.shape_mask(lse.dtype, query.device)
    for whole in band.runs():
        for run in band.chunks(whole):
            rows = slice(run.first * block, min(run.last * block, total))
            # rows past the end must not turn exp(score - lse) into anything but 0
            run_lse = band.queries(lse[..., None], run).squeeze(-1)
            d_query, d_key, d_value = attend_backward(
                band.queries(grad, run),
                band.queries(query, run),
                band.keys(key, run),
                band.keys(value, run),
                band.queries(context, run),
                run_lse.transpose(1, 2).contiguous().transpose(1, 2),
                band.mask(run, shape_mask),
                scale,
            )
            grad_query[rows] = d_query.transpose(1, 2).flatten(0, 1)[: rows.stop - rows.start]
            fold_windows(d_key, grad_key, run, block)
            fold_windows(d_value, grad_value, run, block)
    here = slice(band.left, band.left + total)
    return grad_query, grad_key[here], grad_value[here]


def fold_windows(windows: Tensor, target: Tensor, run: Run, block: int) -> None:
    """Add windows (n, H, KW, D) to ``target`` (room, H, D), whose row 0 is the first key of block 0, shift by shift."""
    count = run.last - run.first
    for piece, start in enumerate(range(0, windows.shape[2], block)):
        part = windows[:, :, start : start + block].transpose(1, 2)
        first = (run.first + piece) * block
        view = target[first : first + count * block].unflatten(0, (count, block))
        view[:, : part.shape[1]] += part


def _clear(context: Tensor, lse: Tensor, start: int, stop: int) -> None:
    context[start:stop] = 0
    lse[start:stop] = 0
