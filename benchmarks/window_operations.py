"""Sliding-window attention alone: projected q, k, v in, context out, as longspan and its peers compute it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from longspan.ops import GlobalStates, sliding_window_attention
from longspan.ops.window import BACKENDS

from .fresh import Work
from .sizes import Sizes, sizes

OURS = "longspan"
CHUNKS = "transformers, sliding chunks"
DENSE = "masked dense SDPA"
FLEX = "FlexAttention, compiled"
LOCAL = "local-attention"
OTHER_BACKENDS = tuple(name for name in BACKENDS if name not in ("reference", "sdpa"))


@dataclass(frozen=True)
class Inputs:
    """Projected states, each (1, N, H, D); the global ones are what the first token sees everything through.

    Attributes:
        query, key, value: of the window.
        global_query, global_key, global_value: of the global token, or None: there is none.
        window: ``window // 2`` tokens on each side.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    global_query: Tensor | None
    global_key: Tensor | None
    global_value: Tensor | None
    window: int

    def leaves(self) -> list[Tensor]:
        """The tensors that are there."""
        states = (self.query, self.key, self.value, self.global_query, self.global_key, self.global_value)
        return [x for x in states if x is not None]


def inputs(size: Sizes, tokens: int, window: int | None = None, has_global: bool = True, grad: bool = False) -> Inputs:
    """Random states, the same for every call with the same arguments."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, tokens, size.heads, size.hidden // size.heads)
    states = [torch.randn(shape, generator=generator).requires_grad_(grad) for _ in range(6 if has_global else 3)]
    padded: list[Tensor | None] = [*states, *[None] * (6 - len(states))]
    return Inputs(*padded, window=size.window if window is None else window)  # type: ignore[arg-type, misc]


def prepare(name: str, x: Inputs, dropout: float = 0.0) -> Callable[[], Tensor]:
    """A function that computes the context (1, N, H, D) of ``x``; masks and layouts are prepared outside it."""
    if name == OURS:
        return lambda: longspan_window(x, dropout=dropout)
    if name == CHUNKS:
        return _sliding_chunks(x, dropout)
    if dropout:
        raise ValueError(f"{name} is not measured with dropout")
    if name == DENSE:
        return _dense(x)
    if name == FLEX:
        return _flex(x)
    return _local_attention(x)


def longspan_window(x: Inputs, backend: str | None = None, dropout: float = 0.0) -> Tensor:
    """longspan's operation, in its default backend or a named one."""
    mask, states = None, None
    if x.global_query is not None and x.global_key is not None and x.global_value is not None:
        mask = torch.zeros(x.query.shape[:2], dtype=torch.bool)
        mask[:, 0] = True
        states = GlobalStates(x.global_query, x.global_key, x.global_value)
    attend = partial(sliding_window_attention, backend=backend) if backend else sliding_window_attention
    return attend(
        x.query,
        x.key,
        x.value,
        (x.window // 2, x.window // 2),
        global_mask=mask,
        global_projections=states,
        dropout_p=dropout,
    )


class _Given(torch.nn.Module):
    """Stands for a linear layer whose result is known already: what follows it can be timed alone.

    The result is a copy, since transformers divides the queries in place.
    """

    def __init__(self, states: Tensor, shape: Sequence[int]) -> None:
        super().__init__()
        self.states, self.shape = states, shape

    def forward(self, _: Tensor) -> Tensor:
        return self.states.reshape(self.shape).clone()


def _sliding_chunks(x: Inputs, dropout: float) -> Callable[[], Tensor]:
    """The self-attention of transformers' Longformer, its six projections replaced by their results."""
    _, tokens, heads, width = x.query.shape
    hidden = heads * width
    config = transformers.LongformerConfig(
        hidden_size=hidden,
        num_attention_heads=heads,
        attention_window=[x.window],
        num_hidden_layers=1,
        attention_probs_dropout_prob=dropout,
    )
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    attention = LongformerSelfAttention(config, 0).train(bool(dropout))
    flat = (tokens, 1, hidden)
    attention.query, attention.key, attention.value = (_Given(s, flat) for s in (x.query, x.key, x.value))
    mask = torch.zeros(1, tokens)
    has_global = x.global_query is not None
    if x.global_query is not None and x.global_key is not None and x.global_value is not None:
        mask[:, 0] = torch.finfo(torch.float32).max  # their sign of a global token
        attention.query_global = _Given(x.global_query[:, :1], (1, 1, hidden))
        attention.key_global, attention.value_global = _Given(x.global_key, flat), _Given(x.global_value, flat)
    unused = torch.zeros(1, tokens, hidden)
    return lambda: attention(
        unused,
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=has_global,
    )[0].view(x.query.shape)


def _with_global_row(x: Inputs, local: Tensor) -> Tensor:
    """``local`` (1, H, N, D) with the first token's row from the global states, as (1, N, H, D)."""
    if x.global_query is None or x.global_key is None or x.global_value is None:
        return local.transpose(1, 2)
    row = F.scaled_dot_product_attention(
        x.global_query[:, :1].transpose(1, 2), x.global_key.transpose(1, 2), x.global_value.transpose(1, 2)
    )
    return torch.cat((row, local[:, :, 1:]), dim=2).transpose(1, 2)


def _per_head(x: Inputs) -> list[Tensor]:
    """q, k and v as (1, H, N, D), contiguous: the layout that the peers like best."""
    return [state.transpose(1, 2).contiguous() for state in (x.query, x.key, x.value)]


def _dense(x: Inputs) -> Callable[[], Tensor]:
    position = torch.arange(x.query.shape[1])
    seen = (position[:, None] - position).abs() <= x.window // 2
    if x.global_query is not None:
        seen[:, 0] = True
    mask = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))
    q, k, v = _per_head(x)
    return lambda: _with_global_row(x, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))


def _flex(x: Inputs) -> Callable[[], Tensor]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    tokens, side, has_global = x.query.shape[1], x.window // 2, x.global_query is not None

    def seen(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        near = (i - j).abs() <= side
        return near | (j == 0) if has_global else near

    blocks = create_block_mask(seen, None, None, tokens, tokens, device="cpu")
    compiled = torch.compile(flex_attention, dynamic=False)
    q, k, v = _per_head(x)
    return lambda: _with_global_row(x, compiled(q, k, v, block_mask=blocks))


def _local_attention(x: Inputs) -> Callable[[], Tensor]:
    """The package local-attention; it knows no global token, and its exact window reaches one bucket each way."""
    from local_attention import LocalAttention

    if x.global_query is not None:
        raise ValueError("local-attention has no global tokens")
    attention = LocalAttention(
        window_size=x.window // 2, look_backward=1, look_forward=1, exact_windowsize=True, use_rotary_pos_emb=False
    )
    q, k, v = _per_head(x)
    return lambda: attention(q, k, v).transpose(1, 2)


def sampled_rows(x: Inputs, rows: Sequence[int]) -> Tensor:
    """The oracle at some rows (1, len(rows), H, D): the formula in float64, for lengths that no dense mask fits."""
    contexts = []
    for i in rows:
        is_global = i == 0 and x.global_query is not None
        query, key, value = (x.global_query, x.global_key, x.global_value) if is_global else (x.query, x.key, x.value)
        assert query is not None and key is not None and value is not None
        low = 0 if is_global else max(0, i - x.window // 2)
        high = key.shape[1] if is_global else i + x.window // 2 + 1
        k, v = key[0, low:high].double(), value[0, low:high].double()
        if x.global_query is not None and low > 0:
            k, v = torch.cat((key[0, :1].double(), k)), torch.cat((value[0, :1].double(), v))
        scores = torch.einsum("hd,khd->hk", query[0, i].double(), k) * query.shape[-1] ** -0.5
        contexts.append(torch.einsum("hk,khd->hd", scores.softmax(-1), v))
    return torch.stack(contexts)[None]


def window_case(name: str, has_global: bool, quick: bool) -> Work:
    """A case for :func:`benchmarks.fresh.fresh`: the operation at the usual length."""
    size = sizes(quick)
    with torch.inference_mode():
        small = prepare(name, inputs(size, 2 * size.window, has_global=has_global))
        large = prepare(name, inputs(size, size.tokens, has_global=has_global))
    return Work(torch.inference_mode()(small), torch.inference_mode()(large))
