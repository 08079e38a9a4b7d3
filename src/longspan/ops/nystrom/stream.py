"""Nyström attention over a long row read in pieces, for inference: beyond its input it needs room for the values only.

Landmarks are projections of the means of the hidden states, since ``mean(W h + b) = W mean(h) + b``. A second pass over
a document projects keys and values and sums up ``softmax(Q̃ Kᵀ) V``, whose parts are merged by their log-sum-exp; a
third projects queries. Documents of at most a piece need one pass.

Shapes: B batch, N tokens, T = B * N, S tokens of a piece, H heads, D head size, d = H * D, m landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from longspan.ops.fused import attend
from longspan.ops.nystrom import sdpa
from longspan.ops.nystrom.convolution import channel_kernel, convolve_window
from longspan.ops.nystrom.landmarks import run_index, run_means, run_sizes
from longspan.ops.nystrom.plan import Stretch, plan_stretches

Projection = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class NystromStream:
    """What :func:`longspan.ops.nystrom_attention` computes, piece by piece. Not differentiable.

    Attributes:
        hidden_states: (B, N, d).
        notes: (B, N, d) contiguous, of the dtype of ``hidden_states``: rows that were not yielded yet are written.
        query, key, value: (S, d) to (S, d), affine; the result of ``value`` may be overwritten.
        num_heads: H.
        num_landmarks: m.
        segment_ids: (B, N), as for the operation; the next two as well.
        conv_weight: (H, k) or None.
        exact_inverse_scale: start of the inverse.
        piece: S, tokens read at a time.
        inverse_iterations: steps of the inverse.
    """

    hidden_states: Tensor
    notes: Tensor
    query: Projection
    key: Projection
    value: Projection
    num_heads: int
    num_landmarks: int
    segment_ids: Tensor | None
    conv_weight: Tensor | None
    exact_inverse_scale: bool
    piece: int
    inverse_iterations: int = 6

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """Slices of the flat row of T tokens, in order and without a gap, and their context (S, d); 0 at padding."""
        batch, length, size = self.hidden_states.shape
        hidden, notes = self.hidden_states.flatten(0, 1), self.notes.view(-1, size)
        for stretch in plan_stretches(batch, length, self.segment_ids, self.num_landmarks, self.piece):
            if stretch.long:
                yield from self._long(stretch, hidden, notes)
            else:
                rows = slice(stretch.start, stretch.stop)
                yield rows, self._whole(stretch, hidden[rows])

    def _whole(self, stretch: Stretch, hidden: Tensor) -> Tensor:
        numbers = stretch.numbers
        if numbers is not None and not bool((numbers >= 0).any()):
            return torch.zeros_like(hidden)
        rows = (-1, stretch.length) if numbers is None else (1, -1)
        query, key, value = (
            p(hidden).unflatten(0, rows).unflatten(-1, (self.num_heads, -1)) for p in (self.query, self.key, self.value)
        )
        weight = None if self.conv_weight is None else self.conv_weight.to(query.dtype)
        context = sdpa.forward(
            query, key, value, None if numbers is None else numbers.unsqueeze(0), None, None, weight,
            self.num_landmarks, self.inverse_iterations, self.exact_inverse_scale, query.shape[-1] ** -0.5,
        )  # fmt: skip
        return context.view(hidden.shape)

    def _long(self, stretch: Stretch, hidden: Tensor, notes: Tensor) -> Iterator[tuple[slice, Tensor]]:
        valid = None if stretch.numbers is None else stretch.numbers >= 0
        key_landmarks, summary, dtype = self._read(stretch, hidden, notes, valid)
        scale = summary.shape[-1] ** -0.5
        half = 0 if self.conv_weight is None else self.conv_weight.shape[1] // 2
        # the values around a piece: those of the last tokens that were yielded, the piece's own, and the next ones
        window = torch.zeros(half + self.piece + half, hidden.shape[1], dtype=dtype, device=hidden.device)
        kernel = None if self.conv_weight is None else channel_kernel(self.conv_weight.to(dtype), hidden.shape[1])
        for rows in stretch.pieces(self.piece):
            query = self._heads(self.query(hidden[rows]))
            context = attend(query, key_landmarks, summary, None, scale)[0].transpose(1, 2).reshape(-1, hidden.shape[1])
            if kernel is not None:
                size, last = rows.stop - rows.start, min(rows.stop + half, stretch.stop)
                read = half + last - rows.start
                window[half:read] = notes[rows.start : last]
                window[read:] = 0
                with torch.autocast(hidden.device.type, enabled=False):
                    context += convolve_window(window[None, : half + size + half], kernel, 0)[0]
                window[:half] = window[size : size + half].clone()
            if valid is not None:
                context.masked_fill_(~valid[_within(rows, stretch), None], 0)
            yield rows, context

    def _read(
        self, stretch: Stretch, hidden: Tensor, notes: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor, torch.dtype]:
        """Passes one and two: K̃ and what every query reads through it, (1, H, m, D); the values go to the notes."""
        means = self._means(hidden[stretch.start : stretch.stop], valid)
        landmarks, key_landmarks = self._heads(self.query(means)), self._heads(self.key(means))
        scale = landmarks.shape[-1] ** -0.5
        wide = torch.promote_types(landmarks.dtype, torch.float32)
        total = torch.zeros(landmarks.shape, dtype=wide, device=hidden.device)
        total_lse = torch.full(landmarks.shape[:-1], float("-inf"), dtype=wide, device=hidden.device)
        for rows in stretch.pieces(self.piece):
            value, bias = self.value(hidden[rows]), None
            if valid is not None:
                here = valid[_within(rows, stretch)]
                value.masked_fill_(~here[:, None], 0)
                if not bool(here.any()):  # its log-sum-exp is -inf, which the kernel does not say
                    notes[rows] = value
                    continue
                bias = torch.zeros(here.shape, dtype=value.dtype, device=value.device).masked_fill_(~here, -torch.inf)
                bias = bias[None, None, None]
            notes[rows] = value
            key = self._heads(self.key(hidden[rows]))
            part, lse = attend(landmarks, key, self._heads(value), bias, scale)
            total.lerp_(part.to(wide), torch.sigmoid(lse - total_lse).unsqueeze(-1))
            total_lse = torch.logaddexp(total_lse, lse)
        with torch.autocast(hidden.device.type, enabled=False):
            kernel_2 = sdpa.landmark_softmax(landmarks, key_landmarks, scale)
            summary = sdpa.summarise(kernel_2, total, self.inverse_iterations, self.exact_inverse_scale)
        return key_landmarks, summary.to(landmarks.dtype), value.dtype

    def _means(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        """Means (m, d) of the hidden states (n, d) of the landmarks' runs."""
        mask = None if valid is None else valid.unsqueeze(0)
        run = run_index(1, len(hidden), mask, self.num_landmarks, hidden.device)
        return run_means(hidden[None, :, None], run, run_sizes(run, self.num_landmarks))[0, :, 0]

    def _heads(self, x: Tensor) -> Tensor:
        """(S, d) as (1, H, S, D), a view."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(0, 1).unsqueeze(0)


def _within(rows: slice, stretch: Stretch) -> slice:
    return slice(rows.start - stretch.start, rows.stop - stretch.start)
