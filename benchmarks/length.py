"""One pass of a base-size Longformer over a long document: time and peak memory above the weights."""

from __future__ import annotations

import ctypes
import threading
import time
from pathlib import Path
from typing import Any

import torch

from longspan import LongformerConfig, LongformerModel

from .measure import machine, save


def run(tokens: int = 32_768, layers: int = 12, quick: bool = False) -> str:
    """Read ``tokens`` random tokens in one pass; returns a line with seconds and peak memory above the weights.

    ``quick`` takes a tiny model and saves nothing. Run it in a fresh process: an allocator that was used before hides
    the peak.
    """
    sizes: dict[str, Any] = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    if quick:
        tokens, layers = 1024, 2
        sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    config = LongformerConfig(
        **sizes, num_hidden_layers=layers, vocab_size=1000, max_position_embeddings=tokens + 2, attention_window=512
    )
    torch.manual_seed(0)
    model = LongformerModel(config).eval()
    ids = torch.randint(4, 1000, (1, tokens))
    global_mask = torch.zeros_like(ids)
    global_mask[:, 0] = 1
    with torch.inference_mode():
        model(ids[:, :1024], global_attention_mask=global_mask[:, :1024])  # let the libraries allocate their own
        with PeakMemory() as memory:
            start = time.perf_counter()
            output = model(ids, global_attention_mask=global_mask).last_hidden_state
            seconds = time.perf_counter() - start
    if not torch.isfinite(output).all():
        raise RuntimeError("the output is not finite: nothing is reported")
    result = {
        "tokens": tokens,
        "layers": layers,
        "seconds": seconds,
        "peak_gib_above_weights": memory.peak / 2**30,
        "hidden_state_gib": output.numel() * 4 / 2**30,
        "machine": machine(),
    }
    if not quick:
        save("length", result)
    return (
        f"{tokens} tokens, {layers} layers: {seconds:.1f} s, {result['peak_gib_above_weights']:.2f} GiB above the "
        f"weights (one hidden state: {result['hidden_state_gib']:.2f} GiB)"
    )


class PeakMemory:
    """The largest growth of the process's resident memory within a block, in bytes (Linux)."""

    def __enter__(self) -> PeakMemory:
        ctypes.CDLL(None).malloc_trim(0)
        self._start = self._peak = _resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def peak(self) -> int:
        """Bytes above the start."""
        return self._peak - self._start

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self._peak = max(self._peak, _resident())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
