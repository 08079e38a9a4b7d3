"""Global rows: a global token sees its whole document.

Shapes: T tokens of the flat row, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from ..fused import attend, attend_backward
from .dropout import Keep, attend_dropped, attend_dropped_backward
from .layout import Document, GlobalProjections, GlobalStates, Tokens, as_heads
from .projected_rows import project_rows, project_rows_backward

Projections = GlobalProjections | GlobalStates | None

# global tokens per step under dropout, whose probabilities over the whole document are explicit
_DROPPED_STEP = 16


def attend_rows(
    context: Tensor,
    lse: Tensor,
    states: tuple[Tensor, Tensor, Tensor],
    tokens: Tokens,
    projections: Projections,
    scale: float,
    keep: Keep | None,
) -> None:
    """Overwrite the rows of global tokens in ``context`` (T, H, D) and ``lse`` (T, H).

    Without projections a global token sees its document through ``states``, the query, key and value (T, H, D) of
    everybody.
    """
    if isinstance(projections, GlobalStates):
        query, key, value = (x.flatten(0, 1) for x in projections.tensors())
    else:
        query, key, value = states
    for document in _steps(tokens, keep):
        rows, columns = document.rows, document.global_rows
        if isinstance(projections, GlobalProjections):
            out, out_lse = project_rows(document, _flat(projections), query.shape[1], scale, keep)
        else:
            args = (as_heads(query[columns]), as_heads(key[rows]), as_heads(value[rows]), None, scale)
            out, out_lse = attend(*args) if keep is None else attend_dropped(*args, keep.draw(args[0], args[1]))[:2]
            out, out_lse = out[0].transpose(0, 1), out_lse[0].t()
        context[columns] = out.to(context.dtype)
        lse[columns] = out_lse.to(lse.dtype)


def attend_rows_backward(
    grad: Tensor,
    states: tuple[Tensor, Tensor, Tensor],
    context: Tensor,
    lse: Tensor,
    tokens: Tokens,
    projections: Projections,
    scale: float,
    keep: Keep | None,
    grad_states: tuple[Tensor, ...],
    grad_projections: Projections,
) -> None:
    """Add the gradients of :func:`attend_rows` to ``grad_states`` or, where there are projections, to theirs."""
    if isinstance(projections, GlobalStates) and isinstance(grad_projections, GlobalStates):
        query, key, value = (x.flatten(0, 1) for x in projections.tensors())
        grad_query, grad_key, grad_value = (x.flatten(0, 1) for x in grad_projections.tensors())
    else:
        query, key, value = states
        grad_query, grad_key, grad_value = grad_states
    for document in _steps(tokens, keep):
        rows, columns = document.rows, document.global_rows
        if isinstance(projections, GlobalProjections) and isinstance(grad_projections, GlobalProjections):
            wide = grad[columns].to(projections.hidden_states.dtype)
            args = (document, _flat(projections), query.shape[1], scale, keep, _flat(grad_projections))
            project_rows_backward(wide, *args)
            continue
        q, k, v, g = as_heads(query[columns]), as_heads(key[rows]), as_heads(value[rows]), as_heads(grad[columns])
        if keep is None:
            row_lse = lse[columns].t().unsqueeze(0)
            d_query, d_key, d_value = attend_backward(g, q, k, v, as_heads(context[columns]), row_lse, None, scale)
        else:
            d_query, d_key, d_value = attend_dropped_backward(g, q, k, v, None, scale, keep.draw(q, k))
        grad_query[columns] += d_query[0].transpose(0, 1)
        grad_key[rows] += d_key[0].transpose(0, 1)
        grad_value[rows] += d_value[0].transpose(0, 1)


def _steps(tokens: Tokens, keep: Keep | None) -> Iterator[Document]:
    for document in tokens.documents:
        step = len(document.global_rows) if keep is None else _DROPPED_STEP
        for columns in document.global_rows.split(step):
            yield Document(document.rows, columns)


def _flat(projections: GlobalProjections) -> GlobalProjections:
    """The same with hidden states (T, d); a view where they are contiguous."""
    return replace(projections, hidden_states=projections.hidden_states.flatten(0, 1))
