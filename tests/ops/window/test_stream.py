"""The window operation in pieces equals the same in one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from longspan.ops import GlobalProjections, sliding_window_attention
from longspan.ops.window import stream
from longspan.ops.window.stream import WindowStream
from tests._support import Watch, error, uninitialized_is_nan

HEADS, SIZE, WIDTH = 2, 4, 6


def tensors(batch: int, length: int, seed: int = 0) -> tuple[list[Tensor], GlobalProjections]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    attended = [draw(batch, length, HEADS, SIZE) for _ in range(3)]
    weights = [draw(HEADS * SIZE, WIDTH) if i % 2 == 0 else draw(HEADS * SIZE) for i in range(6)]
    return attended, GlobalProjections(draw(batch, length, WIDTH), *weights)


def streamed(
    attended: list[Tensor],
    projections: GlobalProjections,
    window: tuple[int, int],
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    piece: int,
) -> Tensor:
    query, key, value = (x.flatten(0, 1) for x in attended)
    shape = attended[0].shape[:2]
    read = WindowStream(tuple(shape), window, segment_ids, global_mask, 0.5, piece, query.device)
    if read.global_positions is not None:
        read.set_globals(key[read.global_positions], value[read.global_positions], projections)
    result = torch.full_like(query, torch.nan)
    for rows, fresh in read.steps():
        result[rows] = read.attend(rows, query[rows], key[fresh], value[fresh])
    return result.view_as(attended[0])


@st.composite
def cases(draw):
    batch, length = draw(st.integers(1, 3)), draw(st.integers(1, 90))
    window = draw(st.tuples(st.integers(0, 40), st.integers(0, 40)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    segment_ids = global_mask = None
    if draw(st.booleans()):
        # consecutive documents, interleaved ones, padding in between
        segment_ids = torch.randint(-1, draw(st.integers(1, 4)), (batch, length), generator=generator)
        if draw(st.booleans()):
            segment_ids = segment_ids.sort(1).values
    if draw(st.booleans()):
        global_mask = torch.rand(batch, length, generator=generator) < draw(st.sampled_from([0.02, 0.3, 1.0]))
    return batch, length, window, segment_ids, global_mask, draw(st.integers(1, 100))


@settings(deadline=None, max_examples=120)
@given(cases())
def test_pieces_equal_the_whole(case):
    batch, length, window, segment_ids, global_mask, piece = case
    attended, projections = tensors(batch, length)
    expected = sliding_window_attention(
        *attended,
        window,
        segment_ids=segment_ids,
        global_mask=global_mask,
        global_projections=projections,
        scale=0.5,
        backend="reference",
    )
    with uninitialized_is_nan():
        found = streamed(attended, projections, window, segment_ids, global_mask, piece)
    assert error(found, expected) <= 1e-12
    if segment_ids is not None:
        assert not found[segment_ids < 0].any()


@pytest.mark.parametrize("share", [0.01, 0.5])  # folded projections, plain ones
def test_global_rows_in_several_pieces(monkeypatch, share):
    monkeypatch.setattr(stream, "_ROW_PIECE", 16)
    attended, projections = tensors(2, 70)
    global_mask = torch.rand(2, 70, generator=torch.Generator().manual_seed(1)) < share
    global_mask[:, 3] = True
    segment_ids = (torch.arange(70) // 45).expand(2, -1)
    options = {"segment_ids": segment_ids, "global_mask": global_mask, "global_projections": projections, "scale": 0.5}
    expected = sliding_window_attention(*attended, (7, 5), **options, backend="reference")
    assert error(streamed(attended, projections, (7, 5), segment_ids, global_mask, 20), expected) <= 1e-12


def test_a_piece_needs_no_more_than_its_window():
    """No tensor of the row's length, but for an id of each token."""
    length, piece, window = 4096, 64, (16, 8)
    attended, _ = tensors(1, length)
    query, key, value = (x.flatten(0, 1) for x in attended)
    read = WindowStream((1, length), window, None, None, 0.5, piece, query.device)
    for rows, fresh in read.steps():
        assert fresh.stop - fresh.start <= piece + window[1]
        given = query[rows].clone(), key[fresh].clone(), value[fresh].clone()
        with Watch() as watch:
            context = read.attend(rows, *given)
        assert context.shape[0] == rows.stop - rows.start
        assert watch.elements <= max(length, 4 * (piece + sum(window)) * HEADS * SIZE), watch.operation
