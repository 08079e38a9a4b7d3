"""Attention alone on a GPU, forward and training, each contender checked before it is timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from longspan.ops import GlobalStates, sliding_window_attention
from longspan.ops.window.flex_blocks import BLOCK, block_lists, visible_blocks

from .gpu_clock import Case, Clock
from .sizes import Sizes, window_pairs
from .window_gradients import row_gradients, sampled_gradients
from .window_operations import CHUNKS, FLEX, Inputs, inputs, prepare, sampled_rows

BACKENDS = ("flash_varlen", "flex_attention", "sdpa")
FLASH = "dense flash SDPA (all pairs)"
# of the largest value: what bfloat16 leaves of one operation, and of its gradients
TOLERANCE, GRADIENT_TOLERANCE = 2e-2, 5e-2
# operations of forward and backward over those of forward: five products instead of two, and the two again
_TRAINING_FLOPS = 3.5


def ours(backend: str) -> str:
    """The name of a row."""
    return f"longspan, {backend}"


def attention(clock: Clock, size: Sizes, tokens: int, dtype: torch.dtype) -> None:
    """Projected q, k, v in, context out: without a global token, with one, and with one forward and backward."""
    for has_global, training in ((False, False), (True, False), (True, True)):
        part = "attention, one global token" if has_global else "attention"
        part += ", forward and backward" if training else ""
        flops = 4.0 * window_pairs(tokens, size.window) * size.hidden * (_TRAINING_FLOPS if training else 1.0)
        x = _moved(inputs(size, tokens, has_global=has_global), clock.device, dtype, training)
        for name in (*map(ours, BACKENDS), CHUNKS, FLEX, FLASH):
            case = partial(_attention_case, name, x, training)
            clock.measure(part, tokens, name, case, None if name == FLASH else flops)


def _attention_case(name: str, x: Inputs, training: bool) -> Case:
    run = _attention(name, x)
    grad = torch.randn_like(x.query)
    tokens = x.query.shape[1]
    rows = sorted({1, tokens // 2, tokens - 1})
    # a kernel of all pairs has no global token, and a window of everything
    seen = replace(x, global_query=None, global_key=None, global_value=None, window=2 * tokens) if name == FLASH else x

    def forward() -> Tensor:
        with torch.no_grad():
            return run()

    def both() -> list[Tensor]:
        return list(torch.autograd.grad(run(), seen.leaves(), grad))

    def check() -> dict[str, float]:
        output = run().detach() if training else forward()
        all_finite([output])
        exact = _moved(seen, x.query.device, None, False)
        found = {"error": difference(output[:, [0, *rows]], sampled_rows(exact, [0, *rows]), TOLERANCE)}
        return {**found, "gradient_error": _gradient_error(name, both(), exact, grad, rows)} if training else found

    return Case(both if training else forward, check)


def _gradient_error(name: str, gradients: list[Tensor], x: Inputs, incoming: Tensor, rows: list[int]) -> float:
    """The largest error of the gradients of all inputs at sampled rows; of all pairs of tokens, of the queries only."""
    all_finite(gradients)
    if name == FLASH:  # a key's gradient needs the softmax of every query
        states = (x.key[0], x.value[0])
        parts = [row_gradients(x.query[0, row], *states, incoming[0, row], rows)[0] for row in rows]
        return difference(gradients[0][0, rows], torch.cat(parts), GRADIENT_TOLERANCE)
    expected = sampled_gradients(x, incoming, rows)
    chosen = [gradient[0, [0] if number == 3 else rows] for number, gradient in enumerate(gradients)]
    return max(difference(a, b, GRADIENT_TOLERANCE) for a, b in zip(chosen, expected, strict=True))


def _attention(name: str, x: Inputs) -> Callable[[], Tensor]:
    """A function of ``x``, with masks and layouts prepared, that gives the context (1, N, H, D)."""
    if name == CHUNKS:
        with torch.device(x.query.device):
            return prepare(CHUNKS, x)
    if name == FLASH:
        return lambda: F.scaled_dot_product_attention(*_per_head(x)).transpose(1, 2)
    if name == FLEX:
        return _flex_peer(x)
    mask, states = None, None
    if x.global_query is not None and x.global_key is not None and x.global_value is not None:
        mask = torch.zeros(x.query.shape[:2], dtype=torch.bool, device=x.query.device)
        mask[:, 0] = True
        states = GlobalStates(x.global_query, x.global_key, x.global_value)
    side, backend = x.window // 2, name.removeprefix(ours(""))
    return lambda: sliding_window_attention(
        x.query, x.key, x.value, (side, side), global_mask=mask, global_projections=states, backend=backend
    )


def _flex_peer(x: Inputs) -> Callable[[], Tensor]:
    """FlexAttention as its users write it, compiled for this very length; the global row is a call of SDPA."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    tokens, side, device = x.query.shape[1], x.window // 2, x.query.device
    first = (torch.arange(tokens, device=device) == 0) & (x.global_query is not None)

    def seen(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        near = (i - j).abs() <= side
        return near if x.global_query is None else near | (j == 0)

    spare = -tokens % BLOCK
    ids = F.pad(torch.zeros(tokens, dtype=torch.int64, device=device), (0, spare), value=-1)
    # create_block_mask would evaluate all pairs of tokens
    partial_, full = visible_blocks(ids, F.pad(first, (0, spare)), side, side, False)
    blocks = BlockMask.from_kv_blocks(
        *block_lists(partial_), *block_lists(full), BLOCK_SIZE=BLOCK, mask_mod=seen, seq_lengths=(tokens, tokens)
    )
    # one compilation for each length: at its limit of 8 torch would go on without compiling, and say nothing
    options: dict[str, Any] = {"recompile_limit": 64, "isolate_recompiles": True}
    compiled = torch.compile(flex_attention, dynamic=False, **options)

    def run() -> Tensor:
        context = compiled(*_per_head(x), block_mask=blocks).transpose(1, 2)
        if x.global_query is None or x.global_key is None or x.global_value is None:
            return context
        states = (x.global_query[:, :1], x.global_key, x.global_value)
        row = F.scaled_dot_product_attention(*(s.transpose(1, 2) for s in states)).transpose(1, 2)
        return torch.cat((row, context[:, 1:]), 1)

    return run


def _moved(x: Inputs, device: torch.device, dtype: torch.dtype | None, grad: bool) -> Inputs:
    """The same values elsewhere, as leaves."""
    names = ("query", "key", "value", "global_query", "global_key", "global_value")
    given = {name: getattr(x, name) for name in names}
    return replace(
        x, **{n: s.detach().to(device, dtype).requires_grad_(grad) for n, s in given.items() if s is not None}
    )


def _per_head(x: Inputs) -> list[Tensor]:
    return [state.transpose(1, 2) for state in (x.query, x.key, x.value)]


def all_finite(tensors: Sequence[Tensor]) -> None:
    """Raise a RuntimeError where one is not."""
    if not all(torch.isfinite(x).all() for x in tensors):
        raise RuntimeError("not finite: no speed is reported")


def difference(output: Tensor, expected: Tensor, tolerance: float) -> float:
    """The largest difference over the largest expected value.

    Raises:
        RuntimeError: it is above ``tolerance``.
    """
    error = float((output.double() - expected.double()).abs().max() / expected.double().abs().max())
    if not error <= tolerance:
        raise RuntimeError(f"off by {error:.1e} of the largest value (allowed {tolerance:.0e}): no speed is reported")
    return error
