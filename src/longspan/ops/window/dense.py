"""Short input: where the window covers nearly everything, the whole row is one fused call under a mask.

The mask holds band, padding, segments and global columns together, so no merge is needed. It is built for a bounded
number of queries at a time; without padding, and when every key is in reach, there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..fused import attend, attend_backward
from .band import additive
from .dropout import Keep, attend_dropped, attend_dropped_backward
from .layout import Tokens

# queries per step where a mask is needed, and under dropout, where the probabilities are explicit: at most this many
# rows of either exist
_STEP = 1024
_DROPPED_STEP = 128


class Dense:
    """A batch (B, N) under a window, as (B, H, N, D) tensors."""

    def __init__(self, batch: int, length: int, left: int, right: int, tokens: Tokens, dtype: torch.dtype) -> None:
        self.batch, self.length, self.left, self.right = batch, length, left, right
        self.ids = tokens.ids.view(batch, length)
        self.local = tokens.local.view(batch, length)
        self.is_global = None if tokens.is_global is None else tokens.is_global.view(batch, length)
        self.wide = torch.float64 if dtype == torch.float64 else torch.float32
        one_document = bool((self.ids == self.ids[:, :1]).all() & (self.ids >= 0).all())
        self.full = one_document and length <= min(left, right) + 1

    def steps(self, dropped: bool) -> Iterator[tuple[slice, slice, Tensor | None]]:
        """Queries, the keys they may see, and the mask (B, 1, queries, keys) or None."""
        size = _DROPPED_STEP if dropped else self.length if self.full else _STEP
        for start in range(0, self.length, size):
            stop = min(start + size, self.length)
            keys = slice(0, self.length)
            if self.is_global is None and not self.full:
                keys = slice(max(start - self.left, 0), min(stop + self.right, self.length))
            yield slice(start, stop), keys, None if self.full else self._mask(slice(start, stop), keys)

    def _mask(self, queries: slice, keys: slice) -> Tensor:
        device = self.ids.device
        offset = torch.arange(keys.start, keys.stop, device=device)
        offset = offset - torch.arange(queries.start, queries.stop, device=device)[:, None]
        seen = ((offset >= -self.left) & (offset <= self.right))[None]
        if self.is_global is not None:
            seen = seen | self.is_global[:, None, keys]
        ids = self.ids.masked_fill(~self.local, -1)[:, queries, None]
        allowed = seen & (ids == self.ids[:, None, keys]) & (ids >= 0)
        return additive(allowed, self.wide)[:, None]


def dense_forward(
    query: Tensor, key: Tensor, value: Tensor, dense: Dense, scale: float, keep: Keep | None
) -> tuple[Tensor, Tensor]:
    """Context (B, N, H, D) and log-sum-exp (B, N, H); rows that are not local queries are 0 or overwritten later."""
    contexts, lses = [], []
    for rows, columns, mask in dense.steps(keep is not None):
        args = (_heads(query, rows), _heads(key, columns), _heads(value, columns), mask, scale)
        context, lse = attend(*args) if keep is None else attend_dropped(*args, keep.draw(args[0], args[1]))[:2]
        contexts.append(context.transpose(1, 2))
        lses.append(lse.transpose(1, 2))
    if len(contexts) == 1:
        return contexts[0].contiguous(), lses[0].contiguous()
    return torch.cat(contexts, 1), torch.cat(lses, 1)


def dense_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    dense: Dense,
    scale: float,
    keep: Keep | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients (B, N, H, D); ``lse`` (B, N, H) is +inf where there is no local query."""
    grad_query = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    grad_key, grad_value = (torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in (key, value))
    for rows, columns, mask in dense.steps(keep is not None):
        q, k, v, g = _heads(query, rows), _heads(key, columns), _heads(value, columns), _heads(grad, rows)
        if keep is None:
            run_lse = lse[:, rows].transpose(1, 2)
            d_query, d_key, d_value = attend_backward(g, q, k, v, _heads(context, rows), run_lse, mask, scale)
        else:
            g = g.masked_fill(~dense.local[:, None, rows, None], 0)  # without a mask, global rows are still in it
            d_query, d_key, d_value = attend_dropped_backward(g, q, k, v, mask, scale, keep.draw(q, k))
        grad_query[:, rows] = d_query.transpose(1, 2)
        grad_key[:, columns] += d_key.transpose(1, 2)
        grad_value[:, columns] += d_value.transpose(1, 2)
    return grad_query, grad_key, grad_value


def _heads(x: Tensor, rows: slice) -> Tensor:
    return x[:, rows].transpose(1, 2)
