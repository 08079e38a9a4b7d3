"""From documents to the sequences of a kernel that knows offsets and a window, but no mask.

The window part packs the documents, without padding, one sequence each; global keys stay in it. A global token that
the window does not reach has to be seen apart, and only there: for a query i these are the globals before ``i - left``
and those after ``i + right``, the beginning and the end of its document's list of globals. Consecutive queries with
the same two lists form a *run*; a run and its list are a pair of sequences, without a mask and without counting any
key twice. A document with g globals has at most 2 g + 1 runs.

Shapes: T tokens of the flat row, P of them valid, S documents, G global tokens, R runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .layout import Tokens
from .varlen_kernels import Pairs

# keys of a step of runs: each run has a copy of its list
_STEP = 65536


@dataclass(frozen=True)
class Sequences:
    """The documents of a flat row as sequences.

    Attributes:
        rows: (P,) positions of the valid tokens in the flat row, or None where all of them are.
        pairs: each document with itself.
        global_rows: (G,) positions of the global tokens among the P, ascending.
    """

    rows: Tensor | None
    pairs: Pairs
    global_rows: Tensor

    def pack(self, x: Tensor) -> Tensor:
        """(T, ...) to (P, ...)."""
        return x if self.rows is None else x[self.rows]

    def unpack(self, x: Tensor, total: int) -> Tensor:
        """(P, ...) to (T, ...), 0 at padding."""
        if self.rows is None:
            return x
        return x.new_zeros((total, *x.shape[1:])).index_copy_(0, self.rows, x)


@dataclass(frozen=True)
class Runs:
    """Consecutive runs, one step of the global columns.

    Attributes:
        rows: the queries, among the P.
        pairs: each run with its list.
        columns: (K,) the lists one after the other, as numbers of global tokens.
        empty: positions among ``rows`` of the queries whose list is empty, or None.
    """

    rows: slice
    pairs: Pairs
    columns: Tensor
    empty: Tensor | None


def read_sequences(tokens: Tokens, length: int, one_document: bool) -> Sequences:
    """Sequences of the tokens of rows of ``length``; ``one_document``: each row is one, without padding.

    Raises:
        ValueError: a document has padding or another document's tokens in its middle.
    """
    ids, device = tokens.ids, tokens.ids.device
    rows = None
    if one_document:
        count = len(ids) // length
        offsets = torch.arange(count + 1, device=device, dtype=torch.int32) * length
        longest = length
    else:
        values, counts = torch.unique_consecutive(ids, return_counts=True)
        kept = values >= 0
        _check_whole(ids, values[kept], length)
        counts = counts[kept]
        offsets = torch.zeros(len(counts) + 1, dtype=torch.int32, device=device)
        offsets[1:] = counts.cumsum(0)
        longest = int(counts.max()) if len(counts) else 0
        valid = ids >= 0
        if not valid.all():
            rows = valid.nonzero().squeeze(1)
    flags = tokens.is_global
    if flags is None:
        global_rows = torch.empty(0, dtype=torch.int64, device=device)
    else:
        global_rows = (flags if rows is None else flags[rows]).nonzero().squeeze(1)
    return Sequences(rows, Pairs(offsets, offsets, longest, longest), global_rows)


def read_runs(sequences: Sequences, left: int, right: int) -> Iterator[Runs]:
    """The runs of all queries that see a global token beyond their window, in steps of a bounded number of keys."""
    places, offsets = sequences.global_rows, sequences.pairs.query_offsets.to(torch.int64)
    if not len(places):
        return
    total, device = int(offsets[-1]), places.device
    position = torch.arange(total, device=device)
    document = torch.searchsorted(offsets, position, right=True) - 1
    # the document's globals are the numbers [first, last); a query's list is [first, before) and [after, last)
    bounds = torch.searchsorted(places, offsets)
    first, last = bounds[:-1][document], bounds[1:][document]
    before = torch.searchsorted(places, position - left).clamp(first, last)
    after = torch.searchsorted(places, position + right, right=True).clamp(first, last)

    state = torch.stack([document, before, after])
    changes = (state[:, 1:] != state[:, :-1]).any(0).nonzero().squeeze(1) + 1
    starts = torch.cat([changes.new_zeros(1), changes])
    first, before, after, last = (x[starts] for x in (first, before, after, last))
    counts = (before - first) + (last - after)
    begin, keys = torch.stack([starts, counts]).tolist()
    begin.append(total)
    for low, high in _steps(keys):
        chosen = slice(low, high)
        columns, key_offsets = _lists(first[chosen], before[chosen], after[chosen], counts[chosen], sum(keys[chosen]))
        query_offsets = torch.cat([starts[chosen], starts.new_full((1,), begin[high])]) - begin[low]
        sizes = [stop - start for start, stop in zip(begin[low:high], begin[low + 1 : high + 1], strict=True)]
        pairs = Pairs(query_offsets.to(torch.int32), key_offsets, max(sizes), max(keys[chosen]))
        empty = None
        if min(keys[chosen]) == 0:
            lengths = query_offsets.diff()
            empty = torch.repeat_interleave(counts[chosen] == 0, lengths, output_size=sum(sizes)).nonzero().squeeze(1)
        yield Runs(slice(begin[low], begin[high]), pairs, columns, empty)


def _lists(first: Tensor, before: Tensor, after: Tensor, counts: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """The lists [first, before) and [after, ...) of each run, ``counts`` long, one after the other; their offsets."""
    offsets = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    offsets[1:] = counts.cumsum(0)
    run = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts, output_size=total)
    place = torch.arange(total, device=counts.device) - offsets[run]
    begins = (before - first)[run]
    columns = torch.where(place < begins, first[run] + place, after[run] + place - begins)
    return columns, offsets.to(torch.int32)


def _steps(keys: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of runs with at most a step's keys together (one run at least), without empty runs at their ends."""
    low, count = 0, 0
    for run, number in enumerate([*keys, _STEP]):
        if (count and count + number > _STEP) or run == len(keys):
            high = run
            while high > low and keys[high - 1] == 0:
                high -= 1
            if high > low:
                yield low, high
            low, count = run, 0
        if not count and not number:
            low = run + 1
        count += number


def _check_whole(ids: Tensor, documents: Tensor, length: int) -> None:
    """``documents`` (n,) are the ids of the stretches of equal ids; each may come once."""
    found, counts = torch.unique(documents, return_counts=True)
    if len(found) == len(documents):
        return
    row, place = divmod(int((ids == found[counts > 1][0]).nonzero()[0]), length)
    raise ValueError(
        f"segment_ids must not interrupt a document with the backend 'flash_varlen', whose kernel has no mask: the one "
        f"of token {place} of row {row} has padding or another document in its middle; 'flex_attention', 'sdpa' and "
        "'reference' take it"
    )
