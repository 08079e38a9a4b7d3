"""How many tokens of a long row are read at a time, where a layer streams.

On a CPU a piece is as long as its queries, context and feed-forward stay in cache, which each operation measures for
itself. An accelerator has no such cache and pays for every kernel that is started: some thirty a piece, about 10 µs
each. At base size 1,024 tokens keep it busy for no longer than starting them takes; 16,384 tokens make that a small
share, and their feed-forward needs 200 MiB in float32. That is reckoned, not measured.
"""

from __future__ import annotations

import torch

ACCELERATOR_PIECE = 16_384


def piece_size(device: torch.device, on_cpu: int) -> int:
    """Tokens of a piece on ``device``; ``on_cpu`` is what was measured for the operation on a CPU."""
    return on_cpu if device.type == "cpu" else max(on_cpu, ACCELERATOR_PIECE)
