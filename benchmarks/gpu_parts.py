"""What is timed on a GPU: the attention alone, and base-size models in forward and training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

import longspan
from longspan.ops import GlobalStates, sliding_window_attention
from longspan.ops.window.flex_blocks import BLOCK, block_lists, visible_blocks

from .gpu_clock import Case, Clock
from .sizes import Sizes, window_pairs
from .window_operations import CHUNKS, FLEX, Inputs, inputs, prepare, sampled_rows

BACKENDS = ("flash_varlen", "flex_attention", "sdpa")
FLASH = "dense flash SDPA (all pairs)"
THEIRS = "transformers Longformer"
ROBERTA = "RoBERTa, SDPA (all pairs)"
VOCABULARY = 1024
# of the largest value: what bfloat16 leaves of one operation, and of twelve layers
TOLERANCE, MODEL_TOLERANCE = 2e-2, 5e-2
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


class Models:
    """longspan's Longformer and transformers' with the same weights, and RoBERTa; without dropout.

    Args:
        size: their sizes.
        tokens: the longest document.
        device: where they run.
        dtype: what they compute in; ``exact`` is longspan's in float32.
    """

    def __init__(self, size: Sizes, tokens: int, device: torch.device, dtype: torch.dtype) -> None:
        common: dict[str, Any] = {
            "vocab_size": VOCABULARY,
            "hidden_size": size.hidden,
            "num_attention_heads": size.heads,
            "intermediate_size": size.intermediate,
            "num_hidden_layers": size.layers,
            "max_position_embeddings": tokens + 2,
            "pad_token_id": 1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
        torch.manual_seed(0)
        theirs = transformers.LongformerModel(transformers.LongformerConfig(**common, attention_window=size.window))
        mine, exact = (
            longspan.LongformerModel(longspan.LongformerConfig(**common, attention_window=size.window))
            for _ in range(2)
        )
        for model in (mine, exact):
            model.load_state_dict(theirs.state_dict())
        roberta = transformers.RobertaModel(transformers.RobertaConfig(**common, attn_implementation="sdpa"))
        self.exact: Any = exact.eval().to(device)
        mine, theirs, roberta = (model.eval().to(device, dtype) for model in (mine, theirs, roberta))
        self.contenders: list[tuple[str, Any, str | None]] = [
            *((ours(backend), mine, backend) for backend in BACKENDS),
            (THEIRS, theirs, None),
            (ROBERTA, roberta, None),
        ]

    def measure(self, clock: Clock, tokens: int) -> None:
        """Forward, and a step of AdamW, with one global token."""
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(4, VOCABULARY, (1, tokens), generator=generator).to(clock.device)

        @cache
        def expected() -> Tensor:
            with torch.no_grad():
                return _read(self.exact, ids)

        for part, training in (("model, forward", False), ("model, training step", True)):
            for name, model, backend in self.contenders:
                case = partial(_model_case, model, backend, ids, training, None if name == ROBERTA else expected)
                clock.measure(part, tokens, name, case)


def _attention_case(name: str, x: Inputs, training: bool) -> Case:
    run = _attention(name, x)
    grad = torch.randn_like(x.query)
    rows = sorted({0, 1, x.query.shape[1] // 2, x.query.shape[1] - 1})

    def forward() -> Tensor:
        with torch.no_grad():
            return run()

    def both() -> list[Tensor]:
        # the dense peer has no global token
        grads = torch.autograd.grad(run(), x.leaves(), grad, allow_unused=name == FLASH)
        return [x for x in grads if x is not None]

    def check() -> float | None:
        if training:
            _all_finite(both())
        output = run().detach() if training else forward()
        _all_finite([output])
        if name == FLASH:  # another function
            return None
        expected = sampled_rows(_moved(x, x.query.device, None, False), rows)
        return _error(output[:, rows], expected, TOLERANCE)

    return Case(both if training else forward, check)


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


def _model_case(
    model: Any, backend: str | None, ids: Tensor, training: bool, expected: Callable[[], Tensor] | None
) -> Case:
    """``expected`` gives the output in float32; None: it has to be finite."""
    optimizer: list[torch.optim.Optimizer] = []

    def forward() -> Tensor:
        if backend is not None:
            model.set_attn_implementation(backend)
        with torch.no_grad():
            return _read(model, ids)

    def step() -> None:
        if backend is not None:
            model.set_attn_implementation(backend)
        if not optimizer:  # it changes nothing, so that every contender keeps the same weights
            optimizer.append(torch.optim.AdamW(model.parameters(), lr=0.0))
        _read(model, ids).float().square().mean().backward()
        optimizer[0].step()
        optimizer[0].zero_grad(set_to_none=True)

    def check() -> float | None:
        output = forward()
        _all_finite([output])
        return None if expected is None else _error(output, expected(), MODEL_TOLERANCE)

    return Case(step if training else forward, check)


def _read(model: Any, ids: Tensor) -> Tensor:
    arguments = {}
    if "ongformer" in type(model).__name__:
        arguments["global_attention_mask"] = torch.zeros_like(ids)
        arguments["global_attention_mask"][:, 0] = 1
    return model(ids, **arguments).last_hidden_state


def _moved(x: Inputs, device: torch.device, dtype: torch.dtype | None, grad: bool) -> Inputs:
    """The same values elsewhere, as leaves."""
    names = ("query", "key", "value", "global_query", "global_key", "global_value")
    given = {name: getattr(x, name) for name in names}
    return replace(
        x, **{n: s.detach().to(device, dtype).requires_grad_(grad) for n, s in given.items() if s is not None}
    )


def _per_head(x: Inputs) -> list[Tensor]:
    return [state.transpose(1, 2) for state in (x.query, x.key, x.value)]


def _all_finite(tensors: Sequence[Tensor]) -> None:
    if not all(torch.isfinite(x).all() for x in tensors):
        raise RuntimeError("not finite: no speed is reported")


def _error(output: Tensor, expected: Tensor, tolerance: float) -> float:
    error = float((output.double() - expected.double()).abs().max() / expected.double().abs().max())
    if not error <= tolerance:
        raise RuntimeError(f"off by {error:.1e} of the largest value (allowed {tolerance:.0e}): no speed is reported")
    return error
