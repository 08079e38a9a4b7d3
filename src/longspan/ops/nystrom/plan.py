"""How a flat row of B * N tokens is cut to be read in pieces.

A document longer than a piece is cut, and read more than once. Shorter ones are never cut: as many as fit make a piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from longspan.ops.nystrom.documents import Document, find_documents


@dataclass(frozen=True)
class Stretch:
    """Tokens ``start`` to ``stop`` of the flat row.

    Attributes:
        start, stop: the tokens.
        long: whether they are one document that is to be cut; otherwise they are whole documents and padding.
        numbers: which document a token belongs to, (stop - start,) int64, -1 at padding; None where no token is
            padding and all documents have ``length`` tokens.
        length: tokens of a document where ``numbers`` is None.
    """

    start: int
    stop: int
    long: bool
    numbers: Tensor | None
    length: int

    def pieces(self, size: int) -> list[slice]:
        """The stretch in slices of the flat row, of like length and at most ``size`` tokens."""
        total = self.stop - self.start
        count = -(-total // size)
        edges = [self.start + index * total // count for index in range(count + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(edges)]


def plan_stretches(
    batch: int, length: int, segment_ids: Tensor | None, num_landmarks: int, piece: int
) -> list[Stretch]:
    """Stretches that cover the flat row in order.

    Args:
        batch: B.
        length: N.
        segment_ids: (B, N) as in :func:`longspan.ops.nystrom_attention`.
        num_landmarks: a document of at most this many valid tokens is never cut.
        piece: a document of at most this many tokens is never cut, and what is not cut makes stretches of at most this
            many tokens, where documents do not interleave.
    """
    if batch == 0 or length == 0:
        return []
    if segment_ids is None:
        cut = length > max(piece, num_landmarks)
        rows = 1 if cut else max(piece // length, 1)
        starts = range(0, batch, rows)
        return [Stretch(a * length, min(a + rows, batch) * length, cut, None, length) for a in starts]
    if segment_ids.dtype == torch.bool:
        segment_ids = segment_ids.to(torch.int64) - 1
    documents, numbers = find_documents(segment_ids)
    flat = numbers.flatten()
    stretches: list[Stretch] = []
    gathered: list[_Unit] = []
    for unit in _units(documents, batch, length, piece):
        cut = unit.document is not None and unit.stop - unit.start > piece and unit.document.count > num_landmarks
        if gathered and (cut or unit.stop - gathered[0].start > piece):
            stretches.append(_join(gathered, flat, False))
            gathered = []
        gathered.append(unit)
        if cut:
            stretches.append(_join(gathered, flat, True))
            gathered = []
    return [*stretches, _join(gathered, flat, False)] if gathered else stretches


@dataclass(frozen=True)
class _Unit:
    """What must not be cut, unless it is one document. Padding, and several documents that interleave, are none."""

    start: int
    stop: int
    document: Document | None


def _units(documents: list[Document], batch: int, length: int, piece: int) -> Iterator[_Unit]:
    """Units that cover the flat row in order; padding between documents in units of at most ``piece`` tokens."""
    held: list[_Unit] = []
    for document in sorted(documents, key=lambda x: (x.row, x.first)):
        start = document.row * length + document.first
        stop = start + document.span
        if held and start < held[-1].stop:
            held[-1] = _Unit(held[-1].start, max(stop, held[-1].stop), None)
        else:
            held.append(_Unit(start, stop, document))
    position = 0
    for unit in held:
        yield from _padding(position, unit.start, piece)
        yield unit
        position = unit.stop
    yield from _padding(position, batch * length, piece)


def _padding(start: int, stop: int, piece: int) -> Iterator[_Unit]:
    for first in range(start, stop, piece):
        yield _Unit(first, min(first + piece, stop), None)


def _join(units: list[_Unit], numbers: Tensor, long: bool) -> Stretch:
    start, stop = units[0].start, units[-1].stop
    only = units[0].document if len(units) == 1 else None
    full = only is not None and only.count == stop - start
    return Stretch(start, stop, long, None if full else numbers[start:stop], stop - start)
