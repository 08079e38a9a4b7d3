"""Nyströmformer: the operation alone, a layer, and the cost per token over the lengths."""

from __future__ import annotations

from functools import partial

import torch

from ..measure import Contender, growth, ratios
from ..models import NYSTROM, THEIR_NYSTROM, build, document, share_weights
from ..nystrom_operations import NAMES, OURS, PACKAGE, THEIRS, formula, prepare
from ..results import Run
from ..sizes import BASE, Sizes, nystrom_flops, sizes

TITLE = "Nyströmformer (64 landmarks, convolution of 65)"
CASE = "benchmarks.nystrom_operations:nystrom_case"
LENGTHS = (4096, 8192, 16_384, 32_768, 65_536)
LAYERS = 4
FORMULA = "formula in float64"


def fill(run: Run) -> None:
    """All groups, forward only."""
    size = sizes(run.quick)
    with torch.inference_mode():
        _operation(run, size)
        _layer(run, size)
        _lengths(run, size)
    run.notes.append(
        f"A layer is a {LAYERS}-layer model, embeddings included, over {LAYERS}. `transformers` reads one unpadded "
        "document of exactly `segment_means_seq_len` tokens, its only working case."
    )


def _operation(run: Run, size: Sizes) -> None:
    expected = formula(size, size.tokens)
    contenders = [
        Contender(
            name,
            prepare(name, size, size.tokens),
            lambda: expected,
            FORMULA,
            flops=nystrom_flops(size, size.tokens),
            memory=(CASE, {"name": name, "quick": run.quick}),
        )
        for name in NAMES
    ]
    theirs, package, ours = contenders
    assert (theirs.name, package.name, ours.name) == (THEIRS, PACKAGE, OURS)
    run.compare(f"The operation alone (projected q, k, v in), {size.tokens:,} tokens", contenders, 15, ours)
    run.measure("nystrom.operation", ratios(theirs, ours))
    run.measure("nystrom.package", ratios(package, ours))
    run.measure_peaks("nystrom.memory", ours, theirs)


def _layer(run: Run, size: Sizes) -> None:
    ids = document(size.tokens)
    theirs, ours = (build(name, size, size.tokens, LAYERS) for name in (THEIR_NYSTROM, NYSTROM))
    share_weights(theirs, ours)
    flops = ours.flops(size.tokens)
    contenders = [
        Contender(THEIR_NYSTROM, lambda: theirs(ids), lambda: ours(ids), NYSTROM, flops=flops),
        Contender(NYSTROM, lambda: ours(ids), lambda: theirs(ids), THEIR_NYSTROM, flops=flops),
    ]
    run.compare(f"{LAYERS} layers, {size.tokens:,} tokens", contenders, 7, contenders[1])
    run.measure("nystrom.layer", ratios(*contenders))


def _lengths(run: Run, size: Sizes) -> None:
    lengths = LENGTHS if size == BASE else (128, 256)
    contenders = [
        Contender(
            f"{tokens:,} tokens",
            prepare(OURS, size, tokens),
            partial(formula, size, tokens),
            FORMULA,
            flops=nystrom_flops(size, tokens),
        )
        for tokens in lengths
    ]
    run.compare("longspan, the operation alone, by length", contenders, 9, contenders[0])
    run.measure("nystrom.flat", growth(contenders, lengths))
