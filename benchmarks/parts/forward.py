"""Whole models of base size reading one long document, forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor

from longspan.ops.window import cpp

from ..fresh import Work
from ..machine import has_bfloat16
from ..measure import Contender, ratios
from ..models import (
    BIGBIRD,
    LONGFORMER,
    LONGFORMER_BF16,
    LONGFORMER_CPP,
    LONGFORMER_CPP_BF16,
    MODERNBERT,
    NYSTROM,
    ROBERTA,
    THEIR_LONGFORMER,
    THEIR_NYSTROM,
    Reader,
    build,
    document,
    reading,
    share_weights,
)
from ..results import Run
from ..rows import Watched
from ..sizes import Sizes, sizes

TITLE = "A base-size model reads one document, forward"
CASE = "benchmarks.parts.forward:case"
TWINS = {
    LONGFORMER: THEIR_LONGFORMER,
    LONGFORMER_BF16: THEIR_LONGFORMER,
    LONGFORMER_CPP: THEIR_LONGFORMER,
    LONGFORMER_CPP_BF16: THEIR_LONGFORMER,
    THEIR_LONGFORMER: LONGFORMER,
    NYSTROM: THEIR_NYSTROM,
    THEIR_NYSTROM: NYSTROM,
}
"""Which implementation of the same function each is checked against."""


def fill(run: Run) -> None:
    """All models in one group: they do the same job, though not by the same function."""
    size = sizes(run.quick)
    ids = document(size.tokens)
    readers = {
        name: build(name, size, size.tokens)
        for name in (THEIR_LONGFORMER, ROBERTA, MODERNBERT, BIGBIRD, THEIR_NYSTROM, LONGFORMER, NYSTROM)
    }
    share_weights(readers[THEIR_LONGFORMER], readers[LONGFORMER])
    share_weights(readers[THEIR_LONGFORMER], readers[ROBERTA])
    share_weights(readers[THEIR_NYSTROM], readers[NYSTROM])
    others = {
        LONGFORMER_BF16: None if has_bfloat16() else "the processor has no avx512_bf16",
        LONGFORMER_CPP: cpp.missing(),
        LONGFORMER_CPP_BF16: cpp.missing(torch.bfloat16),
    }
    for name, reason in others.items():
        if reason is None:
            readers[name] = build(name, size, size.tokens)
            share_weights(readers[THEIR_LONGFORMER], readers[name])

    contenders = _contenders(readers, ids, size, run.quick)
    ours = contenders[LONGFORMER]
    run.compare(f"{size.layers} layers, {ids.shape[1]:,} tokens", list(contenders.values()), 5, ours)
    run.measure("forward.transformers", ratios(contenders[THEIR_LONGFORMER], ours))
    run.measure("forward.roberta", ratios(contenders[ROBERTA], ours))
    keys = {
        LONGFORMER_BF16: "forward.bfloat16",
        LONGFORMER_CPP: "forward.cpp",
        LONGFORMER_CPP_BF16: "forward.cpp_bfloat16",
    }
    for name, reason in others.items():
        if reason is None:
            run.measure(keys[name], ratios(contenders[THEIR_LONGFORMER], contenders[name]))
        else:
            run.skip(keys[name], reason)
    run.notes.append(
        "Longformer has one global token. ModernBERT has its own 22 layers. Models of one architecture have the same "
        "weights. In bfloat16 the output is compared with the float32 one, and 5 % of its largest value is "
        "allowed; its share of the matrix rate is that of the float32 rate. "
        "BigBird has no second implementation to be compared with: rows of its first and its last layer are computed "
        "from the formula. Memory is that of 2 layers "
        "(ModernBERT: 3): more of them need no more."
    )


def _contenders(readers: dict[str, Reader], ids: Tensor, size: Sizes, quick: bool) -> dict[str, Contender]:
    outputs = {name: cache(partial(reader, ids)) for name, reader in readers.items()}
    contenders = {}
    for name, reader in readers.items():
        contender = Contender(
            name,
            partial(reader, ids),
            outcome=outputs[name],
            flops=reader.flops(ids.shape[1]),
            memory=(CASE, {"name": name, "quick": quick}),
        )
        if name in TWINS:
            contender.expected, contender.against = outputs[TWINS[name]], TWINS[name]
        elif name == BIGBIRD:
            contender.outcome, contender.expected = _by_rows(reader, ids)
            contender.against = "formula in float64, rows of two layers"
        else:
            contender.expected, contender.against = partial(reader.eager, ids), "its own eager attention"
        contenders[name] = contender
    for name in (LONGFORMER_BF16, LONGFORMER_CPP_BF16):
        if name in contenders:
            contenders[name].tolerance = 5e-2
    return contenders


def _by_rows(reader: Reader, ids: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Rows of the first and the last layer as they are, and as they have to be."""
    watch = Watched(reader.model, reader.global_token, reader)
    rows = cache(lambda: watch.compare(watch(ids)))
    return lambda: rows()[0], lambda: rows()[1]


def case(name: str, quick: bool) -> Work:
    """Two layers read the same document, for the peak memory: no time is told, so nothing is checked again."""
    size = sizes(quick)
    return replace(reading(name, size.tokens, size.tokens // 4, 2, quick), check=None)
