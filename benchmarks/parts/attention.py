"""Sliding-window attention alone, against every other way to compute the same band."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..measure import Contender, growth, ratios
from ..results import Run
from ..sizes import BASE, Sizes, sizes, window_pairs
from ..window_operations import (
    CHUNKS,
    DENSE,
    FLEX,
    LOCAL,
    OTHER_BACKENDS,
    OURS,
    Inputs,
    inputs,
    longspan_window,
    prepare,
    sampled_rows,
)

TITLE = "Sliding-window attention alone (projected q, k, v in, context out)"
CASE = "benchmarks.window_operations:window_case"
LENGTHS = (2048, 4096, 8192, 16_384, 32_768, 65_536)
NARROW = 64
CPP = f"{OURS}, backend cpp"


def fill(run: Run) -> None:
    """All groups, forward only."""
    size = sizes(run.quick)
    with torch.inference_mode():
        _with_global_token(run, size)
        _without_global_token(run, size)
        _windows(run, size)
        _lengths(run, size)
    run.notes.append(
        "The roofline is 4 N (w + 1) d operations at the matrix rate. `transformers` gets its six projections ready "
        "made, the dense mask and the block mask are built outside the time, and peers get the layout they like best. "
        "Sliding chunks need fresh memory in every call: about half of their CPU time is page faults."
    )


def roofline(run: Run, size: Sizes, tokens: int) -> float:
    """Seconds that the band's multiply-adds take at the machine's matrix rate."""
    return 4.0 * tokens * (size.window + 1) * size.hidden / run.rate


def _contender(name: str, x: Inputs, work: Callable[[], Tensor] | None = None, label: str = "") -> Contender:
    """A contender that is checked at sampled rows against the formula, so that no implementation is its own judge."""
    tokens = x.query.shape[1]
    rows = _some(tokens, x.window)
    work = work or _later(name, x)
    return Contender(
        label or name,
        work,
        lambda: sampled_rows(x, rows),
        f"formula in float64, {len(rows)} rows",
        outcome=lambda: work()[:, rows].double(),
        flops=4.0 * window_pairs(tokens, x.window) * x.query.shape[2] * x.query.shape[3],
    )


def _later(name: str, x: Inputs) -> Callable[[], Tensor]:
    """The prepared function, prepared in its first call: a contender that cannot run says so when it is checked."""
    prepared: list[Callable[[], Tensor]] = []

    def work() -> Tensor:
        if not prepared:
            prepared.append(prepare(name, x))
        return prepared[0]()

    return work


def _with_global_token(run: Run, size: Sizes) -> None:
    x = inputs(size, size.tokens)
    chunks, dense, flex, ours = (_contender(name, x) for name in (CHUNKS, DENSE, FLEX, OURS))
    others = [
        _contender(name, x, partial(longspan_window, x, name), f"{OURS}, backend {name}") for name in OTHER_BACKENDS
    ]
    for contender in (flex, *others):
        contender.optional = True
    for contender in (chunks, dense, ours):
        contender.memory = (CASE, {"name": contender.name, "has_global": True, "quick": run.quick})
    title = f"N {size.tokens:,}, window {size.window}, one global token"
    run.compare(title, [chunks, dense, flex, *others, ours], 9, ours)
    run.measure("attention.chunks", ratios(chunks, ours))
    _measure(run, "attention.flex", flex, lambda: ratios(flex, ours))
    cpp = next(contender for contender in others if contender.name == CPP)
    _measure(run, "attention.cpp", cpp, lambda: _rooflines(run, size, size.tokens, cpp))
    _measure(run, "attention.cpp_chunks", cpp, lambda: ratios(chunks, cpp))
    run.measure("attention.roofline", _rooflines(run, size, size.tokens, ours))


def _without_global_token(run: Run, size: Sizes) -> None:
    x = inputs(size, size.tokens, has_global=False)
    contenders = [_contender(name, x) for name in (CHUNKS, DENSE, LOCAL, OURS)]
    for contender in contenders:
        contender.memory = (CASE, {"name": contender.name, "has_global": False, "quick": run.quick})
    run.compare(f"N {size.tokens:,}, window {size.window}, no global token", contenders, 9, contenders[-1])


def _windows(run: Run, size: Sizes) -> None:
    narrow, wide = (
        _contender(OURS, inputs(size, size.tokens, window), label=f"longspan, window {window}")
        for window in (NARROW if size == BASE else size.window // 8, size.window)
    )
    run.compare(f"N {size.tokens:,}, one global token, by window", [narrow, wide], 15, wide)
    run.measure("attention.narrow", ratios(narrow, wide))


def _lengths(run: Run, size: Sizes) -> None:
    lengths = LENGTHS if size == BASE else (128, 256)
    contenders = [_contender(OURS, inputs(size, tokens), label=f"{tokens:,} tokens") for tokens in lengths]
    longest = inputs(size, lengths[-1])
    cpp = _contender(CPP, longest, partial(longspan_window, longest, "cpp"), f"{lengths[-1]:,} tokens, backend cpp")
    cpp.optional = True
    title = f"longspan, window {size.window}, one global token, by length"
    run.compare(title, [*contenders, cpp], 9, contenders[0])
    run.measure("attention.flat", growth(contenders, lengths))
    run.measure("attention.roofline_long", _rooflines(run, size, lengths[-1], contenders[-1]))
    _measure(run, "attention.cpp_long", cpp, lambda: _rooflines(run, size, lengths[-1], cpp))


def _measure(run: Run, key: str, contender: Contender, numbers: Callable[[], list[float]]) -> None:
    """A measure of a contender that may have been skipped."""
    if contender.skipped:
        run.skip(key, contender.skipped)
    else:
        run.measure(key, numbers())


def _rooflines(run: Run, size: Sizes, tokens: int, contender: Contender) -> list[float]:
    return [seconds / roofline(run, size, tokens) for seconds in contender.seconds]


def _some(tokens: int, window: int) -> list[int]:
    """Rows at both ends, at the window's edges, and spread over the document."""
    edges = {0, 1, window // 2, window // 2 + 1, window, tokens - window // 2 - 1, tokens - 2, tokens - 1}
    return sorted(edges | set(range(0, tokens, max(1, tokens // 24))))
