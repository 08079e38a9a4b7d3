"""The causal window over text that arrives token by token: the keys and values that a later token may still see.

A head of dilation s sees the tokens of its own residue (position mod s) only. Each residue has a ring of left + 1
slots, so a new token, once written, sees exactly the ring of its residue: no gather, no shift, and neither memory nor
time that grows with the text.

Shapes: B batch, N new tokens, H heads, D head size, g heads of one dilation, P past tokens that are still seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..fused import attend
from .band import Band, additive, window_kernel


class RollingWindow:
    """Causal window attention of one layer, for inference. Not differentiable, without dropout and global tokens.

    Args:
        left: tokens that a head sees before the present one, counted in its dilation.
        dilation: of each head.
        scale: factor on the scores.
        kernel: what computes the window: "reference" (dense), "aten" or "cpp".
    """

    def __init__(self, left: int, dilation: Sequence[int], scale: float, kernel: str = "aten") -> None:
        self.length = 0
        """Tokens so far."""
        self._scale = scale
        self._kernel = window_kernel(kernel)
        self._one_by_one = kernel != "reference"
        steps = sorted(set(dilation))
        self._rings = [_Ring(left, step) for step in steps]
        self._heads = [[head for head, value in enumerate(dilation) if value == step] for step in steps]

    def append(self, key: Tensor, value: Tensor, valid: Tensor | None = None) -> None:
        """Take in tokens: key, value (B, N, H, D), ``valid`` (B, N) bool, False for padding; None: no padding."""
        for ring, heads in zip(self._rings, self._heads, strict=True):
            ring.append(self.length, _take(key, heads), _take(value, heads), valid)
        self.length += key.shape[1]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, valid: Tensor | None = None) -> Tensor:
        """Take in tokens; their context (B, N, H, D), 0 at padding. The arguments are those of :meth:`append`."""
        start, context = self.length, torch.empty_like(query)
        if query.shape[1] == 1 and self._one_by_one:
            self.append(key, value, valid)
            for ring, heads in zip(self._rings, self._heads, strict=True):
                context[:, :, heads] = ring.attend_last(start, _take(query, heads), self._scale)
        else:
            for ring, heads in zip(self._rings, self._heads, strict=True):
                q, k, v = (_take(x, heads) for x in (query, key, value))
                context[:, :, heads] = ring.attend(start, q, k, v, valid, self._attend_band)
            self.append(key, value, valid)
        return context if valid is None else context.masked_fill_(~valid[:, :, None, None], 0)

    def reorder(self, rows: Tensor) -> None:
        """Put row ``rows[b]`` in the place of row b, for all b; ``rows`` (B',) int64."""
        for ring in self._rings:
            ring.reorder(rows)

    def _attend_band(self, query: Tensor, key: Tensor, value: Tensor, band: Band) -> Tensor:
        return self._kernel(query, key, value, band, self._scale)[0]


class _Ring:
    """Keys and values (B, s, slots, g, D) of the heads of one dilation s, and which of them are no padding."""

    def __init__(self, left: int, step: int) -> None:
        self.left, self.step = left, step
        self.key: Tensor | None = None
        self.value: Tensor | None = None
        self.valid: Tensor | None = None

    def count(self, residue: int, position: int) -> int:
        """Tokens of ``residue`` before ``position``."""
        return (position - residue + self.step - 1) // self.step

    def append(self, start: int, key: Tensor, value: Tensor, valid: Tensor | None) -> None:
        stop = start + key.shape[1]
        self._reserve(self.count(0, stop), key, valid)
        assert self.key is not None and self.value is not None
        room = self.left + 1
        for residue, new in self._new(start, stop):
            first = self.count(residue, start)
            last = self.count(residue, stop)
            kept = min(last - first, room)
            slots = torch.arange(last - kept, last, device=key.device) % room
            for ring, x in ((self.key, key), (self.value, value)):
                ring[:, residue].index_copy_(1, slots, x[:, new][:, last - first - kept :])
            if self.valid is not None:
                here = torch.ones(key.shape[:2], dtype=torch.bool, device=key.device) if valid is None else valid
                self.valid[:, residue].index_copy_(1, slots, here[:, new][:, last - first - kept :])

    def attend_last(self, position: int, query: Tensor, scale: float) -> Tensor:
        """Context (B, 1, g, D) of the token that was taken in last."""
        assert self.key is not None and self.value is not None
        residue = position % self.step
        slots = slice(0, min(position // self.step + 1, self.left + 1))
        key, value = (x[:, residue, slots].transpose(1, 2) for x in (self.key, self.value))
        mask = None
        if self.valid is not None:
            mask = additive(self.valid[:, residue, slots], _wide(query))[:, None, None]
        return attend(query.transpose(1, 2), key, value, mask, scale)[0].transpose(1, 2)

    def attend(
        self,
        start: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        valid: Tensor | None,
        kernel: Callable[[Tensor, Tensor, Tensor, Band], Tensor],
    ) -> Tensor:
        """Context (B, N, g, D) of tokens that are not taken in yet."""
        context = torch.empty_like(query)
        for residue, new in self._new(start, start + query.shape[1]):
            past_key, past_value, past_valid = self._past(residue, start)
            for row in range(len(query)):
                q, k, v = (x[row, new].contiguous() for x in (query, key, value))
                past = 0
                if past_key is not None and past_value is not None:
                    past = past_key.shape[1]
                    k, v = torch.cat([past_key[row], k]), torch.cat([past_value[row], v])
                ids = torch.zeros(len(k), dtype=torch.int64, device=k.device)
                if past_valid is not None:
                    ids[:past].masked_fill_(~past_valid[row], -1)
                if valid is not None:
                    ids[past:].masked_fill_(~valid[row, new], -1)
                # padding has one id as a query, which sees nothing, and another one as a key, which nobody sees
                band = Band(min(self.left, len(k) - 1), 0, ids[past:], torch.where(ids < 0, -2, ids), offset=past)
                context[row, new] = kernel(q, k, v, band)
        return context

    def reorder(self, rows: Tensor) -> None:
        self.key, self.value, self.valid = (
            None if x is None else x.index_select(0, rows.to(x.device)) for x in (self.key, self.value, self.valid)
        )

    def _new(self, start: int, stop: int) -> Iterator[tuple[int, slice]]:
        """The residues of the positions from ``start`` to ``stop``, and which of the new tokens are theirs."""
        for residue in range(self.step):
            first = (residue - start) % self.step
            if first < stop - start:
                yield residue, slice(first, None, self.step)

    def _past(self, residue: int, start: int) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Keys and values (B, P, g, D) of a residue in the order of the text, and which are valid (B, P)."""
        count = self.count(residue, start)
        if self.key is None or self.value is None or count == 0:
            return None, None, None
        slots = torch.arange(max(count - self.left, 0), count, device=self.key.device) % (self.left + 1)
        valid = None if self.valid is None else self.valid[:, residue, slots]
        return self.key[:, residue, slots], self.value[:, residue, slots], valid

    def _reserve(self, tokens: int, like: Tensor, valid: Tensor | None) -> None:
        """Make room for ``tokens`` of each residue; a ring grows, doubling, until it has all of its slots."""
        batch, _, heads, size = like.shape
        has = 0 if self.key is None else self.key.shape[2]
        needed = min(tokens, self.left + 1)
        if needed > has:
            slots = min(max(needed, 2 * has), self.left + 1)
            shape = (batch, self.step, slots, heads, size)
            self.key, self.value = (_grown(x, shape, like, 0) for x in (self.key, self.value))
        assert self.key is not None
        if valid is not None or self.valid is not None:
            flag = torch.ones((), dtype=torch.bool, device=like.device)
            if self.valid is None or self.valid.shape[2] < self.key.shape[2]:
                self.valid = _grown(self.valid, tuple(self.key.shape[:3]), flag, 1)


def _grown(x: Tensor | None, shape: tuple[int, ...], like: Tensor, fill: int) -> Tensor:
    """A tensor of ``shape`` that begins with ``x`` along its third axis."""
    grown = torch.full(shape, fill, dtype=like.dtype, device=like.device)
    if x is not None:
        grown[:, :, : x.shape[2]] = x
    return grown


def _take(x: Tensor, heads: list[int]) -> Tensor:
    """Some heads of (B, N, H, D)."""
    return x if len(heads) == x.shape[2] else x[:, :, heads]


def _wide(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32
