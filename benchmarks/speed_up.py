"""``python -m benchmarks.speed_up``: what ``longspan.speed_up`` gains, in CPU time of one thread.

Base size, two layers, float32, one global token; the same model with and without it in turn, after their outputs were
compared. Prints the table of docs/converting.md.
"""

from __future__ import annotations

import copy
import logging
import statistics
from collections.abc import Callable

import torch
from torch import Tensor

import longspan

from .measure import Contender, check, time_in_turn
from .models import THEIR_LONGFORMER, THEIR_NYSTROM, Reader, build, document
from .sizes import BASE

LAYERS = 2
REPETITIONS = 9


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    print("| | tokens | transformers | with `speed_up` | times as fast |\n|---|---:|---:|---:|---:|")
    for tokens in (16, 128, 512, 1024, 4096):
        row("Longformer, forward", THEIR_LONGFORMER, tokens, _read)
    for tokens in (1024, 4096):
        row("Longformer, training step", THEIR_LONGFORMER, tokens, _train)
    row("Nyströmformer, forward", THEIR_NYSTROM, BASE.tokens, _read)
    row("Nyströmformer, training step", THEIR_NYSTROM, BASE.tokens, _train)


def row(what: str, name: str, tokens: int, work: Callable[[Reader, Tensor], Tensor]) -> None:
    """Measure one line of the table and print it."""
    theirs = build(name, BASE, tokens, LAYERS)
    ours = Reader(longspan.speed_up(copy.deepcopy(theirs.model)), theirs.global_token, theirs.flops)
    ids = document(tokens)
    # a sum over thousands of rows: gradients agree less closely than outputs
    tolerance = 1e-5 if work is _read else 1e-4
    before = Contender("transformers", lambda: work(theirs, ids), lambda: work(ours, ids), "speed_up", None, tolerance)
    after = Contender("speed_up", lambda: work(ours, ids), lambda: work(theirs, ids), "transformers", None, tolerance)
    check([before, after])
    time_in_turn([before, after], REPETITIONS)
    a, b = (statistics.median(contender.cpu_seconds) * 1000 / LAYERS for contender in (before, after))
    print(f"| {what} | {tokens:,} | {a:.1f} ms | {b:.1f} ms | {a / b:.1f} |", flush=True)


def _read(reader: Reader, ids: Tensor) -> Tensor:
    return reader(ids)


def _train(reader: Reader, ids: Tensor) -> Tensor:
    reader.model.zero_grad()
    # of half the channels: a layer norm fixes sum and square sum of all
    reader.forward(ids)[..., ::2].sum().backward()
    return reader.model.embeddings.word_embeddings.weight.grad


if __name__ == "__main__":
    main()
