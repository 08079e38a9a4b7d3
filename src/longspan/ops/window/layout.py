"""What every backend of the window operation shares: which token is what, in one flat row of all tokens.

A batch (B, N) is read as one row of T = B * N tokens; the id of a token says which document of which row it belongs
to, so padding, packed documents and row ends are one and the same condition: equal ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# windows are clipped to multiples of this: kernels like even sizes, and rows of a few tokens stay one dense call
_REACH_STEP = 32


@dataclass(frozen=True)
class GlobalProjections:
    """The second set of projections, through which global tokens see their segment (Longformer, section 3.1).

    Attributes:
        hidden_states: (B, N, d), the input of the projections.
        query_weight, key_weight, value_weight: (H * D, d), as ``torch.nn.Linear`` keeps them.
        query_bias, key_bias, value_bias: (H * D,).
    """

    hidden_states: Tensor
    query_weight: Tensor
    query_bias: Tensor
    key_weight: Tensor
    key_bias: Tensor
    value_weight: Tensor
    value_bias: Tensor

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The seven tensors in the order of the fields."""
        return (
            self.hidden_states,
            self.query_weight,
            self.query_bias,
            self.key_weight,
            self.key_bias,
            self.value_weight,
            self.value_bias,
        )


@dataclass(frozen=True)
class GlobalStates:
    """The same second projections, already applied to every token.

    For projections that are more than a weight and a bias (adapters, quantised layers): nothing is folded.

    Attributes:
        query, key, value: (B, N, H, D).
    """

    query: Tensor
    key: Tensor
    value: Tensor

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three tensors in the order of the fields."""
        return self.query, self.key, self.value


@dataclass(frozen=True)
class Document:
    """Token positions of one document that has global tokens, in the flat row.

    Attributes:
        rows: its valid tokens: a slice where they are consecutive, else int64 positions.
        global_rows: int64 positions (G,) of its global tokens.
    """

    rows: slice | Tensor
    global_rows: Tensor


@dataclass(frozen=True)
class Tokens:
    """Roles of the T tokens of a flat row.

    Attributes:
        ids: (T,) int64, the document of each token; -1 is padding.
        is_global: (T,) bool, or None when there is no global token.
        local: (T,) bool, valid and not global: the queries of the window part.
    """

    ids: Tensor
    is_global: Tensor | None
    local: Tensor

    @property
    def key_ids(self) -> Tensor:
        """Ids for the window's keys: a global key is seen as a global column, not through the window."""
        return self.ids if self.is_global is None else self.ids.masked_fill(self.is_global, -2)

    @property
    def query_ids(self) -> Tensor:
        """Ids for the window's queries: rows of global tokens are computed apart."""
        return self.ids if self.is_global is None else self.ids.masked_fill(self.is_global, -1)

    @cached_property
    def documents(self) -> list[Document]:
        """The documents that have at least one global token, in order of their ids; found once for columns and rows."""
        if self.is_global is None:
            return []
        ids, order = torch.sort(self.ids, stable=True)
        _, counts = torch.unique_consecutive(ids, return_counts=True)
        found = []
        for positions in order.split(counts.tolist()):
            flags = self.is_global[positions]
            if not flags.any():  # padding is never global, so its run drops out here as well
                continue
            first, last = int(positions[0]), int(positions[-1])
            consecutive = last - first + 1 == len(positions)
            found.append(Document(slice(first, last + 1) if consecutive else positions, positions[flags]))
        return found

    def clip_window(self, left: int, right: int) -> tuple[int, int]:
        """A window that sees the same tokens and no further than the documents reach, to a multiple of 32.

        Short documents in one row then cost what their own lengths ask for, not what the window would.
        """
        widest = max(left, right)
        apart = self.ids[widest:] == self.ids[: max(len(self.ids) - widest, 0)]
        if len(self.ids) == 0 or (apart & (self.ids[widest:] >= 0)).any():
            return left, right
        found, document = torch.unique(self.ids, return_inverse=True)
        position = torch.arange(len(document), device=document.device)
        first, last = (
            position.new_zeros(len(found)).scatter_reduce(0, document, position, reduce, include_self=False)
            for reduce in ("amin", "amax")
        )
        reach = int((last - first).masked_fill(found < 0, 0).max())
        reach += -reach % _REACH_STEP
        return min(left, reach), min(right, reach)


def read_tokens(
    batch: int, length: int, segment_ids: Tensor | None, global_mask: Tensor | None, device: torch.device
) -> Tokens:
    """Roles of all tokens from ``segment_ids`` (B, N) and ``global_mask`` (B, N), either of them optional."""
    if segment_ids is None:
        ids = torch.arange(batch, device=device).repeat_interleave(length)
    else:
        ids = number_segments(segment_ids).reshape(-1)
    valid = ids >= 0
    is_global = None
    if global_mask is not None:
        is_global = global_mask.reshape(-1).to(torch.bool) & valid
        if not is_global.any():
            is_global = None
    return Tokens(ids, is_global, valid if is_global is None else valid & ~is_global)


def number_segments(segment_ids: Tensor) -> Tensor:
    """Another id for each document of each row, (B, N) int64, -1 at padding; small, whatever the caller's ids are."""
    ids = torch.unique(segment_ids, return_inverse=True)[1]
    rows = torch.arange(len(ids), device=ids.device).unsqueeze(1) * ids.numel()
    return torch.where(segment_ids < 0, -1, ids + rows)


def split_rows(rows: slice | Tensor, size: int) -> Iterator[slice | Tensor]:
    """The rows of a document, at most ``size`` at a time."""
    if isinstance(rows, Tensor):
        yield from rows.split(size)
    else:
        for start in range(rows.start, rows.stop, size):
            yield slice(start, min(start + size, rows.stop))


def dilated_order(batch: int, length: int, dilation: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Regrouping of positions that turns a dilated window into a plain one.

    Returns:
        ``order`` (T,): the flat row with each row's positions sorted by position mod ``dilation``;
        ``residue`` (T,): position mod ``dilation`` of each token of the original row.
    """
    positions = torch.arange(length, device=device)
    residue = positions % dilation
    order = torch.argsort(residue, stable=True)
    rows = torch.arange(batch, device=device).unsqueeze(1) * length
    return (rows + order).reshape(-1), residue.repeat(batch)


def as_row(x: Tensor) -> Tensor:
    """(B, N, H, D) as the flat row (T, H, D) whose last axis has stride 1: overlapping windows of it need no copy."""
    x = x.flatten(0, 1)
    return x if x.stride(-1) == 1 else x.contiguous()


def as_heads(x: Tensor) -> Tensor:
    """(n, H, D) as (1, H, n, D)."""
    return x.transpose(0, 1).unsqueeze(0)
