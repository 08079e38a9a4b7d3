"""How long the pieces are in which a layer streams."""

import pytest
import torch

from longspan.ops.pieces import ACCELERATOR_PIECE, piece_size


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "xpu", "mps", "meta"])
def test_an_accelerator_reads_longer_pieces(device):
    assert piece_size(torch.device(device), 1024) == ACCELERATOR_PIECE >= 16 * 1024
    assert piece_size(torch.device(device), 2 * ACCELERATOR_PIECE) == 2 * ACCELERATOR_PIECE


def test_a_cpu_reads_what_was_measured_on_it():
    assert [piece_size(torch.device("cpu"), size) for size in (16, 1024)] == [16, 1024]
