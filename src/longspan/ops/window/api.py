"""The window operation's public face: checks its arguments and chooses the backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, overload

import torch
from torch import Tensor

from ..checks import as_integer, check_tensor
from . import reference, sdpa, varlen
from .layout import GlobalProjections, GlobalStates


def _flex_attention(*arguments: Any) -> tuple[Tensor, Tensor | None]:
    from . import flex  # with torch's compiler, which takes a second to import

    return flex.window_attention(*arguments)


_FUNCTIONS: dict[str, Callable[..., tuple[Tensor, Tensor | None]]] = {
    "reference": reference.window_attention,
    "sdpa": sdpa.window_attention,
    "cpp": partial(sdpa.window_attention, kernel="cpp"),
    "flex_attention": _flex_attention,
    "flash_varlen": varlen.window_attention,
}
BACKENDS = tuple(_FUNCTIONS)


@overload
def sliding_window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window_size: tuple[int, int],
    *,
    segment_ids: Tensor | None = ...,
    global_mask: Tensor | None = ...,
    global_projections: GlobalProjections | GlobalStates | None = ...,
    dilation: int | Sequence[int] = ...,
    dropout_p: float = ...,
    scale: float | None = ...,
    return_lse: Literal[False] = ...,
    backend: str = ...,
) -> Tensor: ...
@overload
def sliding_window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window_size: tuple[int, int],
    *,
    segment_ids: Tensor | None = ...,
    global_mask: Tensor | None = ...,
    global_projections: GlobalProjections | GlobalStates | None = ...,
    dilation: int | Sequence[int] = ...,
    dropout_p: float = ...,
    scale: float | None = ...,
    return_lse: Literal[True],
    backend: str = ...,
) -> tuple[Tensor, Tensor]: ...
def sliding_window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window_size: tuple[int, int],
    *,
    segment_ids: Tensor | None = None,
    global_mask: Tensor | None = None,
    global_projections: GlobalProjections | GlobalStates | None = None,
    dilation: int | Sequence[int] = 1,
    dropout_p: float = 0.0,
    scale: float | None = None,
    return_lse: bool = False,
    backend: str = "sdpa",
) -> Tensor | tuple[Tensor, Tensor]:
    """Sliding-window attention with global tokens (Beltagy et al., Longformer, arXiv 2004.05150, section 3.1).

    Query i sees key j of its own segment when ``-left * s <= j - i <= right * s`` and ``j - i`` is a multiple of the
    dilation s, both ends included, and every global token of its segment, all in one softmax. A global token sees its
    whole segment, through ``global_projections`` where given, else through ``query``, ``key``, ``value``.

    Args:
        query, key, value: (B, N, H, D), one floating dtype.
        window_size: ``(left, right)`` in tokens, each >= 0; ``(left, 0)`` is causal (but for global tokens).
        segment_ids: (B, N) integers; tokens see each other only when their ids are equal; a negative id is padding.
            None: each row is one segment without padding.
        global_mask: (B, N) bool or 0/1 integers; True marks a global token; one on padding is ignored.
        global_projections: the second projections of global tokens. Their keys and values are never computed at full
            length when folding them into the queries is cheaper. The gradient of their key bias is zero: the bias
            adds the same to every score of a row. Or the projected states themselves, as :class:`GlobalStates`.
        dilation: one step for all heads or one per head, each >= 1.
        dropout_p: probability of dropping an attention probability, 0 <= p < 1. Drawn from torch's default generator.
        scale: factor on the scores, by default ``D ** -0.5``.
        return_lse: also return the log-sum-exp of each row's scores. It is not differentiable.
        backend: ``"sdpa"`` (fused, linear in N), ``"reference"`` (dense, the oracle), ``"cpp"`` (as sdpa with the
            window in C++ for AVX-512, compiled at the first call; float32 and bfloat16, without dropout),
            ``"flex_attention"`` (compiled; without dropout; on a CPU without gradients and log-sum-exp) or
            ``"flash_varlen"`` (CUDA, float16 and bfloat16; without dropout, dilation and interrupted segments). One
            that cannot do what is asked raises.

    Returns:
        Context (B, N, H, D), exactly 0 at padding; with ``return_lse`` also (B, H, N) in float32 (float64 for
        float64), -inf at padding.

    Raises:
        TypeError, ValueError: naming the argument, what was given and what is possible.
        NotImplementedError: the backend does not run on this device; the message says which ones do.
    """
    _check_tensors(query, key, value)
    left, right = _check_window(window_size)
    steps = _check_dilation(dilation, query.shape[2])
    _check_rows("segment_ids", segment_ids, query, "integers (negative: padding)")
    _check_rows("global_mask", global_mask, query, "bools or integers")
    if global_projections is not None:
        global_projections = _check_projections(global_projections, query)
    if not isinstance(dropout_p, float | int) or not 0.0 <= dropout_p < 1.0:
        raise ValueError(f"dropout_p must be a number in [0, 1), got {dropout_p!r}")
    if scale is None:
        scale = query.shape[-1] ** -0.5
    elif not isinstance(scale, float | int):
        raise TypeError(f"scale must be a number or None, got {scale!r}")
    context, lse = _backend(backend)(
        query,
        key,
        value,
        left,
        right,
        steps,
        segment_ids,
        global_mask,
        global_projections,
        float(scale),
        float(dropout_p),
    )
    if not return_lse:
        return context
    if lse is None:
        raise NotImplementedError(
            f"the backend {backend!r} returns no log-sum-exp on {query.device.type!r}; 'sdpa' and 'reference' do"
        )
    lse = lse.detach().transpose(1, 2)
    if segment_ids is not None:
        lse = lse.masked_fill((segment_ids < 0)[:, None], float("-inf"))
    return context, lse


def _backend(name: str) -> Callable[..., tuple[Tensor, Tensor | None]]:
    if name not in _FUNCTIONS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}, got {name!r}")
    return _FUNCTIONS[name]


def _check_tensors(query: Tensor, key: Tensor, value: Tensor) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        check_tensor(name, x)
    if query.dim() != 4 or 0 in query.shape[2:]:
        raise ValueError(
            f"query must have the shape (batch, tokens, heads >= 1, head size >= 1), got {tuple(query.shape)}"
        )
    if not query.is_floating_point():
        raise TypeError(f"query must be of a floating dtype, got {query.dtype}")
    for name, x in (("key", key), ("value", value)):
        if x.shape != query.shape:
            raise ValueError(f"{name} must have the shape of query, {tuple(query.shape)}, got {tuple(x.shape)}")
        if x.dtype != query.dtype:
            raise TypeError(f"{name} must have the dtype of query, {query.dtype}, got {x.dtype}")


def _check_window(window_size: tuple[int, int]) -> tuple[int, int]:
    try:
        left, right = window_size
    except (TypeError, ValueError):
        raise ValueError(f"window_size must be a pair (left, right) of integers, got {window_size!r}") from None
    found = as_integer(left), as_integer(right)
    if found[0] is None or found[1] is None or found[0] < 0 or found[1] < 0:
        raise ValueError(f"window_size must be a pair of integers >= 0, of 64 bits at most, got {window_size!r}")
    return found[0], found[1]


def _check_dilation(dilation: int | Sequence[int], heads: int) -> list[int]:
    if isinstance(dilation, int) or as_integer(dilation) is not None:
        steps: list[Any] = [dilation] * heads
    elif isinstance(dilation, Sequence):
        steps = list(dilation)
    else:
        raise TypeError(f"dilation must be an integer or a sequence of integers, got {dilation!r}")
    if len(steps) != heads:
        raise ValueError(f"dilation must be one integer or one per head ({heads}), got {len(steps)} of them")
    found = [step for step in map(as_integer, steps) if step is not None and step >= 1]
    if len(found) != heads:
        raise ValueError(f"dilation must be integers >= 1, of 64 bits at most, got {dilation!r}")
    return found


def _check_rows(name: str, x: Tensor | None, query: Tensor, possible: str) -> None:
    if x is None:
        return
    check_tensor(name, x, optional=True)
    if x.shape != query.shape[:2]:
        raise ValueError(f"{name} must have the shape (batch, tokens) = {tuple(query.shape[:2])}, got {tuple(x.shape)}")
    if x.is_floating_point() or x.is_complex() or (x.dtype == torch.bool and "bools" not in possible):
        raise TypeError(f"{name} must hold {possible}, got {x.dtype}")


def _check_projections(
    projections: GlobalProjections | GlobalStates, query: Tensor
) -> GlobalProjections | GlobalStates:
    """The projections in one dtype."""
    batch, length, heads, size = query.shape
    if isinstance(projections, GlobalStates):
        for name, x in zip(("query", "key", "value"), projections.tensors(), strict=True):
            if x.shape != query.shape or x.dtype != query.dtype:
                raise ValueError(
                    f"global_projections.{name} must have the shape and dtype of query, {tuple(query.shape)} and "
                    f"{query.dtype}, got {tuple(x.shape)} and {x.dtype}"
                )
        return projections
    if not isinstance(projections, GlobalProjections):
        raise TypeError(
            f"global_projections must be GlobalProjections, GlobalStates or None, got {type(projections).__name__}"
        )
    if len({x.dtype for x in projections.tensors()}) > 1 and torch.is_autocast_enabled(query.device.type):
        # as autocast does to a linear layer
        projections = GlobalProjections(*(x.to(query.dtype) for x in projections.tensors()))
    hidden = projections.hidden_states
    if hidden.dim() != 3 or hidden.shape[:2] != query.shape[:2]:
        raise ValueError(
            f"global_projections.hidden_states must have the shape ({batch}, {length}, hidden size), "
            f"got {tuple(hidden.shape)}"
        )
    for part in ("query", "key", "value"):
        for kind, shape in (("weight", (heads * size, hidden.shape[-1])), ("bias", (heads * size,))):
            name = f"{part}_{kind}"
            x = getattr(projections, name)
            if not torch.jit.is_tracing() and tuple(x.shape) != shape:
                raise ValueError(f"global_projections.{name} must have the shape {shape}, got {tuple(x.shape)}")
            if x.dtype != hidden.dtype:
                raise TypeError(
                    f"global_projections.{name} must have the dtype of its hidden_states, {hidden.dtype}, got {x.dtype}"
                )
    return projections
