"""FlexAttention over the band: one compiled kernel for window, documents and global columns together.

Naming this backend is asking for the compilation of ``torch.nn.attention.flex_attention``, once for each dtype, number
of heads and head size; lengths, windows and documents are inputs of the compiled kernel. On a CPU it runs forward only,
and torch returns no log-sum-exp there.

Shapes: B batch, N tokens, T = B * N, H heads, D head size, n blocks of 128 tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..transforms import is_transforming
from .filled_rows import fill_rows
from .flex_blocks import BLOCK, block_lists, visible_blocks
from .layout import GlobalProjections, GlobalStates, Tokens, as_row, read_tokens
from .opaque import without_autocast

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# the Triton kernel multiplies tiles of at least this many columns
_SMALLEST_SIZE_ON_CUDA = 16
# one for each dtype, number of heads and head size, with and without gradients; one more raises
_COMPILATIONS = 64


@torch.compiler.disable(reason="the backend 'flex_attention' compiles by itself; 'sdpa' is part of the caller's graph")
def window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    left: int,
    right: int,
    dilation: Sequence[int],
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projections: GlobalProjections | GlobalStates | None,
    scale: float,
    dropout_p: float,
) -> tuple[Tensor, Tensor | None]:
    """Context (B, N, H, D) and log-sum-exp (B, N, H), 0 in both at padding; the latter is None on a CPU.

    Raises:
        ValueError, TypeError, NotImplementedError: FlexAttention cannot do this; the message says which backends can.
    """
    _check(query, key, value, projections, dropout_p)
    context, lse = _attend(query, key, value, left, right, dilation, segment_ids, global_mask, projections, scale)
    return context, lse if _returns_lse(query) else None


@without_autocast
def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    left: int,
    right: int,
    dilation: Sequence[int],
    segment_ids: Tensor | None,
    global_mask: Tensor | None,
    projections: GlobalProjections | GlobalStates | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    batch, length, heads, _ = query.shape
    tokens = read_tokens(batch, length, segment_ids, global_mask, query.device)
    if batch * length == 0:
        context, lse = query * 0, query.new_zeros((batch, length, heads), dtype=torch.float32)
    else:
        context, lse = _attend_locally(query, key, value, left, right, dilation, tokens, scale)
    # without a global token the projections still get gradients, of zero
    if tokens.is_global is not None or (projections is not None and torch.is_grad_enabled()):
        masks = (segment_ids, global_mask)
        context, lse = fill_rows(context, lse, (query, key, value), tokens, masks, projections, scale)
    return context, lse


def _attend_locally(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    left: int,
    right: int,
    dilation: Sequence[int],
    tokens: Tokens,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Window and global columns of every token: context (B, N, H, D), log-sum-exp (B, N, H) or 0 where there is none.

    Rows of global tokens are computed as if they were local.
    """
    batch, length, heads, size = query.shape
    total = batch * length
    # whole blocks, so that the kernel checks no bounds, and two at least: torch compiles sizes of 1 apart
    spare = max(-(-total // BLOCK), 2) * BLOCK - total
    ids = F.pad(tokens.ids, (0, spare), value=-1)
    is_global = None if tokens.is_global is None else F.pad(tokens.is_global, (0, spare))
    # more has no effect, and might overflow
    reach = [[min(side * step, length) for step in dilation] for side in (left, right)]
    dilated = any(step > 1 for step in dilation)
    partial, full = visible_blocks(ids, is_global, max(reach[0]), max(reach[1]), dilated)
    lists = [*block_lists(partial), *block_lists(full)]
    if torch.is_grad_enabled():
        lists += [*block_lists(partial.t()), *block_lists(full.t())]

    codes = ids * 2 if is_global is None else ids * 2 + is_global
    codes = codes.masked_fill(ids < 0, -1)
    limits = torch.tensor([*reach, list(dilation)], dtype=torch.int32, device=ids.device)
    torch._dynamo.mark_static(limits, [0, 1])
    if scale != size**-0.5:  # any other factor would be compiled in
        query = query * (scale * size**0.5)
    states = [_as_padded_heads(x, spare) for x in (query, key, value)]
    context, lse = _compiled()(*states, codes, limits, lists, dilated, _returns_lse(query))
    context = context[0, :, :total].transpose(0, 1).reshape(batch, length, heads, size)
    if lse is None:
        return context, context.new_zeros((batch, length, heads), dtype=torch.float32)
    lse = lse[0, :, :total].t().reshape(batch, length, heads)
    return context, lse.masked_fill(lse == float("-inf"), 0)


def _as_padded_heads(x: Tensor, spare: int) -> Tensor:
    """(B, N, H, D) as (1, H, T + spare, D): a view where nothing is spare."""
    x = as_row(x)
    if spare:
        x = F.pad(x, (0, 0, 0, 0, 0, spare))
    x = x.transpose(0, 1).unsqueeze(0)
    torch._dynamo.mark_static(x, [1, 3])
    return x


@cache
def _compiled() -> Callable[..., Any]:
    """The compiled kernel, made when first asked for. Its own count of compilations, and an error beyond it."""
    # not yet in torch's own type annotations
    options: dict[str, Any] = {"recompile_limit": _COMPILATIONS, "isolate_recompiles": True}
    return torch.compile(_kernel, dynamic=True, fullgraph=True, **options)


def _kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    codes: Tensor,
    limits: Tensor,
    lists: list[Tensor],
    dilated: bool,
    with_lse: bool,
) -> tuple[Tensor, Tensor | None]:
    """What is compiled.

    Args:
        query, key, value: (1, H, T, D), T a multiple of the block.
        codes: (T,) twice the document of a token, one more for a global token, -1 for padding. The mask reads one
            tensor of this length: with several, torch 2.13 confuses their sizes in the code it writes for a CPU.
        limits: (3, H) int32, how far each head sees to the left and to the right, and in which steps.
        lists: counts and columns of partial and full blocks, and for gradients those of the transposed.
        dilated: whether the steps matter.
        with_lse: whether to return the log-sum-exp (1, H, T).
    """
    from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

    for x in (query, key):  # lets the kernel leave out its checks of bounds
        torch._check(x.shape[2] % BLOCK == 0)

    def sees(_batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        offset = j - i
        near = (offset >= -limits[0, head]) & (offset <= limits[1, head])
        if dilated:
            near = near & (offset % limits[2, head] == 0)
        seer, seen = codes[i], codes[j]
        return (seer >= 0) & ((seer | 1) == (seen | 1)) & (near | ((seen & 1) == 1))

    length = codes.shape[0]
    transposed: list[Any] = lists[4:] or [None] * 4
    size: dict[str, Any] = {"BLOCK_SIZE": (BLOCK, BLOCK), "mask_mod": sees}
    mask = BlockMask((length, length), lists[0], lists[1], lists[2], lists[3], *transposed, **size)
    if not with_lse:
        return flex_attention(query, key, value, block_mask=mask), None
    context, aux = flex_attention(query, key, value, block_mask=mask, return_aux=AuxRequest(lse=True))
    assert aux.lse is not None
    return context, aux.lse.detach()


def _returns_lse(query: Tensor) -> bool:
    return query.device.type != "cpu"


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    projections: GlobalProjections | GlobalStates | None,
    dropout_p: float,
) -> None:
    device = query.device.type
    if device not in ("cpu", "cuda"):
        raise NotImplementedError(
            f"the backend 'flex_attention' runs on a CPU and on CUDA, got tensors on {device!r}; "
            "'sdpa' and 'reference' run on any device"
        )
    if is_transforming():
        raise NotImplementedError(
            "the backend 'flex_attention' reads its masks ahead, so it does not go with torch.func or forward-mode "
            "gradients; 'sdpa' and 'reference' do"
        )
    if dropout_p > 0:
        raise ValueError(
            f"dropout_p must be 0 with the backend 'flex_attention', which keeps no probability to drop, "
            f"got {dropout_p}; 'sdpa' and 'reference' can"
        )
    if query.dtype not in _DTYPES:
        raise TypeError(
            f"query must be of float32, bfloat16 or float16 with the backend 'flex_attention', got {query.dtype}; "
            "'sdpa' and 'reference' take any floating dtype"
        )
    if device == "cuda" and query.shape[-1] < _SMALLEST_SIZE_ON_CUDA:
        raise ValueError(
            f"query must have a head size of at least {_SMALLEST_SIZE_ON_CUDA} with the backend 'flex_attention' on "
            f"CUDA, got {query.shape[-1]}; 'sdpa' and 'reference' take any"
        )
    given = (query, key, value, *(() if projections is None else projections.tensors()))
    if device == "cpu" and torch.is_grad_enabled() and any(x.requires_grad for x in given):
        raise NotImplementedError(
            "the backend 'flex_attention' has no gradients on a CPU: call it under torch.no_grad(), or take 'sdpa' or "
            "'reference'"
        )
