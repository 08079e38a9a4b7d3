"""Global columns: every token of a document also sees the document's global tokens, in the same softmax.

The window part and this part are two fused calls; their results are merged by log-sum-exp, in place. Shapes: T tokens
of the flat row, H heads, D head size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..fused import attend, attend_backward
from .layout import Document, as_heads, split_rows

# tokens merged at a time: what belongs to them stays in cache
_PIECE = 1024


def merge_columns(
    context: Tensor,
    lse: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    documents: list[Document],
    scale: float,
) -> None:
    """Merge the global columns into ``context`` (T, H, D) and ``lse`` (T, H), which hold the window part."""
    for document in documents:
        columns = as_heads(key[document.global_rows]), as_heads(value[document.global_rows])
        for rows in split_rows(document.rows, _PIECE):
            out, out_lse = attend(as_heads(query[rows]), *columns, None, scale)
            here, here_lse = context[rows], lse[rows]
            merge_part(here, here_lse, out[0].transpose(0, 1), out_lse[0].transpose(0, 1))
            if not isinstance(rows, slice):
                context[rows] = here
                lse[rows] = here_lse


def merge_part(context: Tensor, lse: Tensor, part: Tensor, part_lse: Tensor) -> None:
    """Merge another part of the same softmax, (n, H, D) and (n, H), into ``context`` and ``lse``, in place.

    A part that saw nothing has the log-sum-exp -inf.
    """
    weight = torch.sigmoid(part_lse - lse)
    lse += F.softplus(part_lse - lse, threshold=40)  # 20, the default, is 2e-9 off in float64
    # (1 - w) * here + w * part, without a third tensor of that size
    weight = weight.unsqueeze(-1).to(context.dtype)
    context.mul_(1 - weight).addcmul_(part, weight)


def columns_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    documents: list[Document],
    scale: float,
    grads: tuple[Tensor, ...],
) -> None:
    """Add the gradients through the global columns to ``grads`` = (query, key, value), each (T, H, D).

    ``lse`` is +inf for rows that are not computed as local queries.
    """
    grad_query, grad_key, grad_value = grads
    for document in documents:
        rows, columns = document.rows, document.global_rows
        d_query, d_key, d_value = attend_backward(
            as_heads(grad[rows]),
            as_heads(query[rows]),
            as_heads(key[columns]),
            as_heads(value[columns]),
            as_heads(context[rows]),
            lse[rows].transpose(0, 1).unsqueeze(0),
            None,
            scale,
        )
        grad_query[rows] += d_query[0].transpose(0, 1)
        grad_key[columns] += d_key[0].transpose(0, 1)
        grad_value[columns] += d_value[0].transpose(0, 1)
