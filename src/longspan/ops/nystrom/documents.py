"""Which documents a batch holds, gathered into groups of like length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# A group holds documents of at least this share of its longest one ...
_SHARE = 0.75
# ... and this many tokens, unless one document alone is longer: it bounds the copies.
_TOKENS = 16_384


@dataclass(frozen=True)
class Group:
    """Documents that are computed together, one a row, S rows of L columns.

    Attributes:
        short: whether each has at most ``num_landmarks`` valid tokens; otherwise none has.
        rows: the batch row of each document, (S,) int64; None when the group is the whole batch in its order.
        columns: the column of each place, (S, L) int64, or a slice when S is 1 or ``rows`` is None.
        mask: (S, L) bool, True at the document's own valid tokens; None when all are.
    """

    short: bool
    rows: Tensor | None
    columns: Tensor | slice
    mask: Tensor | None

    def gather(self, x: Tensor) -> Tensor:
        """(S, L, ...) of (B, N, ...); no copy for the whole batch or a single document."""
        if self.rows is None:
            return x
        if isinstance(self.columns, slice):
            row = int(self.rows)
            return x[row : row + 1, self.columns]
        return x[self.rows[:, None], self.columns]

    def gather_rows(self, x: Tensor) -> Tensor:
        """(S, ...) of (B, ...): what belongs to a whole row."""
        return x if self.rows is None else x[self.rows]

    def scatter(self, x: Tensor, target: Tensor) -> None:
        """Write (S, L, ...) back into (B, N, ...), valid tokens only."""
        mask = self.mask
        if self.rows is None:
            target.copy_(x if mask is None else x.masked_fill(~mask[:, :, None, None], 0))
        elif isinstance(self.columns, slice):
            part = target[int(self.rows), self.columns]
            if mask is None:
                part.copy_(x[0])
            else:
                part[mask[0]] = x[0, mask[0]]
        elif mask is None:
            target[self.rows[:, None], self.columns] = x
        else:
            target[self.rows[:, None].expand_as(mask)[mask], self.columns[mask]] = x[mask]


def group_documents(
    batch: int, length: int, segment_ids: Tensor | None, num_landmarks: int, *, one_a_row: bool = False
) -> list[Group]:
    """Groups of all documents of a batch; padding belongs to none.

    ``segment_ids`` as in :func:`longspan.ops.nystrom_attention`; ``one_a_row`` refuses a row with several documents.
    """
    if batch == 0 or length == 0:
        return []
    if segment_ids is None:
        return [Group(length <= num_landmarks, None, slice(None), None)]
    if segment_ids.dtype == torch.bool:
        segment_ids = segment_ids.to(torch.int64) - 1
    found, _ = find_documents(segment_ids)
    if one_a_row and len({document.row for document in found}) < len(found):
        raise ValueError(
            f"query_landmarks and key_landmarks hold one document a row, but segment_ids holds {len(found)} documents "
            f"in {batch} rows: leave the landmarks out for packed rows"
        )
    whole = _whole(found, segment_ids, num_landmarks)
    return [whole] if whole else list(_gathered(found, segment_ids, num_landmarks))


@dataclass(frozen=True)
class Document:
    """The tokens of one document: ``count`` valid ones among ``span`` columns from column ``first`` on."""

    row: int
    ident: int
    first: int
    span: int
    count: int


def find_documents(segment_ids: Tensor) -> tuple[list[Document], Tensor]:
    """Documents by row and id, and each token's index in that list, (B, N) int64, -1 at padding.

    ``segment_ids`` is (B, N), integers. Only the stretches of equal ids are looked at one by one.
    """
    batch, length = segment_ids.shape
    starts = torch.ones_like(segment_ids, dtype=torch.bool)
    starts[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
    begin = starts.reshape(-1).nonzero().flatten()
    end = torch.cat([begin[1:], begin.new_tensor([batch * length])])
    ids = segment_ids.reshape(-1)[begin]
    keep = ids >= 0
    if not keep.any():
        return [], torch.full_like(segment_ids, -1, dtype=torch.int64)
    number_of_stretch, stretch_length = begin.new_full(begin.shape, -1), end - begin
    begin, end, ids = begin[keep], end[keep], ids[keep]

    named, index = torch.stack([begin // length, ids.to(torch.int64)]).unique(dim=1, return_inverse=True)
    number = named.shape[1]
    first = begin.new_full((number,), batch * length).scatter_reduce_(0, index, begin, "amin")
    last = begin.new_zeros(number).scatter_reduce_(0, index, end, "amax")
    count = begin.new_zeros(number).index_add_(0, index, end - begin)
    table = torch.stack([named[0], named[1], first % length, last - first, count], 1)
    number_of_stretch[keep] = index
    numbers = number_of_stretch.repeat_interleave(stretch_length, output_size=batch * length)
    return [Document(*row) for row in table.tolist()], numbers.view(batch, length)


def _whole(found: list[Document], segment_ids: Tensor, num_landmarks: int) -> Group | None:
    """The batch as it lies, if each row holds one document, all of one kind, and little padding."""
    batch, length = segment_ids.shape
    short = {document.count <= num_landmarks for document in found}
    if [document.row for document in found] != list(range(batch)) or len(short) != 1:
        return None
    total = sum(document.count for document in found)
    if total < _SHARE * batch * length:
        return None
    return Group(short.pop(), None, slice(None), None if total == batch * length else segment_ids >= 0)


def _gathered(found: list[Document], segment_ids: Tensor, num_landmarks: int) -> Iterator[Group]:
    members: list[Document] = []
    for document in sorted(found, key=lambda x: (x.count <= num_landmarks, -x.span)):
        if members and (
            (document.count <= num_landmarks) != (members[0].count <= num_landmarks)
            or document.span < _SHARE * members[0].span
            or (len(members) + 1) * members[0].span > _TOKENS
        ):
            yield _group(members, segment_ids, num_landmarks)
            members = []
        members.append(document)
    if members:
        yield _group(members, segment_ids, num_landmarks)


def _group(members: list[Document], segment_ids: Tensor, num_landmarks: int) -> Group:
    device = segment_ids.device
    short = members[0].count <= num_landmarks
    rows = torch.tensor([document.row for document in members], device=device)
    if len(members) == 1:
        (only,) = members
        columns = slice(only.first, only.first + only.span)
        mask = None if only.count == only.span else segment_ids[only.row : only.row + 1, columns] == only.ident
        return Group(short, rows, columns, mask)
    place = torch.arange(members[0].span, device=device)
    first = torch.tensor([document.first for document in members], device=device).unsqueeze(1)
    span = torch.tensor([document.span for document in members], device=device).unsqueeze(1)
    ids = torch.tensor([document.ident for document in members], device=device).unsqueeze(1)
    index = (first + place).clamp(max=segment_ids.shape[1] - 1)
    mask = (place < span) & (segment_ids[rows[:, None], index] == ids)
    return Group(short, rows, index, None if all(x.count == members[0].span for x in members) else mask)
