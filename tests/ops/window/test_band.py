"""Blocks of a window: which are skipped, which share a mask, and how windows fold back."""

import pytest
import torch

from longspan.ops.window.band import Band, Run, band_forward, fold_windows
from tests._support import error


def band(ids: list[int], left: int = 40, right: int = 40) -> Band:
    row = torch.tensor(ids)
    return Band(left, right, row, row)


def test_runs():
    """Blocks of 32: the two ends need masks of their own, padding is skipped, the inside shares one."""
    row = band([0] * 320 + [-1] * 64 + [1] * 30)
    kinds = [(run.first, run.last, run.uniform) for run in row.runs()]
    assert row.block == 32 and row.keys_per_block == 112
    assert kinds == [(0, 2, False), (2, 8, True), (8, 10, False), (12, 13, False)]


@pytest.mark.parametrize(("left", "right", "block"), [(0, 0, 32), (64, 64, 32), (65, 64, 64), (300, 0, 64)])
def test_block_grows_with_the_window(left, right, block):
    assert band([0], left, right).block == block


def test_rows_without_a_query_are_zero(nan_filled):
    """Single rows, whole blocks, and blocks at both ends."""
    ids = [-1] * 70 + [0] * 50 + [-1, 0, -1] + [-1] * 100 + [1] * 20 + [-1] * 40
    x = torch.randn(len(ids), 2, 4)
    context, lse = band_forward(x, x, x, band(ids, 3, 3), 1.0)
    empty = torch.tensor(ids) < 0
    assert not context[empty].any() and not lse[empty].any()
    assert context[~empty].isfinite().all() and context[~empty].any(-1).all()


def test_fold_is_the_transpose_of_the_windows():
    """<windows of x, y> equals <x, y folded>; also where the window is shorter than a block."""
    for left, right in ((0, 0), (3, 1), (40, 60), (200, 0)):
        row = band([0] * 160, left, right)
        run = Run(0, 160 // row.block, False)
        x = torch.randn(160, 2, 3, dtype=torch.float64)
        windows = row.keys(x, run)
        y = torch.randn(windows.shape, dtype=torch.float64)
        room = (160 // row.block + -(-row.keys_per_block // row.block)) * row.block
        folded = torch.zeros(room, 2, 3, dtype=torch.float64)
        fold_windows(y, folded, run, row.block)
        assert error((windows * y).sum(), (x * folded[left : left + 160]).sum()) < 1e-12
