"""The window operation over a long row read in pieces, for inference: the extra memory does not grow with the row.

Keys and values enter piece by piece and stay as long as a query may see them; those of the few global tokens stay to
the end. The rows of global tokens, which see everything, are computed before, in a pass of their own.

Shapes: B batch, N tokens, T = B * N, S tokens of a piece, H heads, D head size, G global tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from .band import Band, padded_slice, window_kernel
from .columns import merge_columns
from .layout import Document, GlobalProjections, read_tokens, split_rows
from .projected_rows import project_rows

# tokens of a piece of the global rows' pass, each of which projects the global queries anew
_ROW_PIECE = 16_384


class WindowStream:
    """One pass over a flat row of T = B * N tokens. Not differentiable, without dropout or dilation.

    Args:
        shape: (B, N).
        window_size: (left, right), as for :func:`sliding_window_attention`; also the next two.
        segment_ids: (B, N) integers or None.
        global_mask: (B, N) bools or integers, or None.
        scale: factor on the scores.
        piece: S, tokens of a piece.
        device: of the tensors.
        kernel: what computes the window, "aten" or "cpp".

    With global tokens, call :meth:`set_globals` before the first :meth:`attend`.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        window_size: tuple[int, int],
        segment_ids: Tensor | None,
        global_mask: Tensor | None,
        scale: float,
        piece: int,
        device: torch.device,
        kernel: str = "aten",
    ) -> None:
        self._kernel = window_kernel(kernel)
        self._scale, self._piece, self._total = scale, piece, shape[0] * shape[1]
        self._tokens = read_tokens(*shape, segment_ids, global_mask, device)
        self._left, self._right = window_size if segment_ids is None else self._tokens.clip_window(*window_size)
        is_global = self._tokens.is_global
        self.global_positions = None if is_global is None else is_global.nonzero().squeeze(1)
        """Positions (G,) of the global tokens in the flat row, ascending, or None."""
        self._globals: tuple[Tensor, Tensor, Tensor] | None = None  # key, value, context
        # row 0 stands `left` tokens before the first query of the piece
        self._key: Tensor | None = None
        self._value: Tensor | None = None
        self._filled = self._left

    def set_globals(self, key: Tensor, value: Tensor, projections: GlobalProjections) -> None:
        """Compute what global tokens see, and keep what others see of them.

        Args:
            key, value: (G, H, D), what everybody sees of the global tokens.
            projections: through which they see their document, with hidden states (B, N, d).
        """
        heads = key.shape[1]
        flat = replace(projections, hidden_states=projections.hidden_states.flatten(0, 1))
        context = torch.empty_like(key)
        for document in self._tokens.documents:
            out = lse = None
            for rows in split_rows(document.rows, _ROW_PIECE):
                with torch.autocast(key.device.type, enabled=False):
                    part, part_lse = project_rows(Document(rows, document.global_rows), flat, heads, self._scale, None)
                if out is None or lse is None:
                    out, lse = part, part_lse
                else:
                    out = torch.lerp(out, part, torch.sigmoid(part_lse - lse).unsqueeze(-1).to(out.dtype))
                    lse = torch.logaddexp(lse, part_lse)
            if out is not None:
                context[self._index(document)] = out.to(context.dtype)
        self._globals = key, value, context

    def steps(self) -> Iterator[tuple[slice, slice]]:
        """The pieces in order: the tokens whose queries are next, and those whose keys and values they need first."""
        known = 0
        for start in range(0, self._total, self._piece):
            stop = min(start + self._piece, self._total)
            needed = max(known, min(stop + self._right, self._total))
            yield slice(start, stop), slice(known, needed)
            known = needed

    def attend(self, rows: slice, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Context (S, H, D) of the tokens ``rows``; ``query`` is theirs, ``key`` and ``value`` are of the next tokens.

        To be called once for each of :meth:`steps`, in order. 0 at padding.
        """
        keys, values = self._take_in(key, value)
        start, tokens = rows.start, self._tokens
        key_ids = padded_slice(tokens.key_ids, start - self._left, start - self._left + len(keys), -3)
        band = Band(self._left, self._right, tokens.query_ids[rows], key_ids, offset=self._left)
        context, lse = self._kernel(query, keys, values, band, self._scale)
        if self._globals is not None and self.global_positions is not None:
            global_key, global_value, global_context = self._globals
            documents = [Document(here, self._index(document)) for here, document in self._visible(rows)]
            merge_columns(context, lse, query, global_key, global_value, documents, self._scale)
            positions = self.global_positions
            here = (positions >= start) & (positions < rows.stop)
            context[positions[here] - start] = global_context[here]
        # what the next queries still see moves to the front
        kept = self._left + self._right
        for x in (keys, values):
            moved = x[self._piece : self._piece + kept]
            x[:kept] = moved.clone() if kept > self._piece else moved
        self._filled -= self._piece
        return context

    def _take_in(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        if self._key is None or self._value is None:
            room = self._left + self._piece + self._right
            # zeros: a masked key of NaN would spoil its query
            self._key, self._value = (x.new_zeros(room, *x.shape[1:]) for x in (key, value))
        stop = self._filled + len(key)
        self._key[self._filled : stop] = key
        self._value[self._filled : stop] = value
        self._filled = stop
        return self._key, self._value

    def _visible(self, rows: slice) -> Iterator[tuple[slice | Tensor, Document]]:
        """Documents with tokens in the piece, and where in the piece those are."""
        for document in self._tokens.documents:
            here = document.rows
            if isinstance(here, slice):
                first, last = max(here.start, rows.start), min(here.stop, rows.stop)
                if first < last:
                    yield slice(first - rows.start, last - rows.start), document
            else:
                inside = here[(here >= rows.start) & (here < rows.stop)]
                if len(inside):
                    yield inside - rows.start, document

    def _index(self, document: Document) -> Tensor:
        """Which of the G global tokens are the document's."""
        assert self.global_positions is not None
        return torch.searchsorted(self.global_positions, document.global_rows)
