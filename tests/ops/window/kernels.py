"""Dense stand-ins for torch's CUDA kernels, with their signatures, so that what stands around them runs on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def varlen_attn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor | None,
    max_q: int,
    max_k: int,
    *,
    return_aux: Any = None,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
    seqused_k: Tensor | None = None,
    block_table: Tensor | None = None,
    num_splits: int | None = None,
) -> Any:
    """``torch.nn.attention.varlen.varlen_attn``; a sequence without keys gets garbage, as no manual says what."""
    scores, wide = _scores(query, key, cu_seq_q, cu_seq_k, max_q, max_k, scale, window_size)
    lse = scores.logsumexp(-1)
    out = torch.einsum("hij,jhd->ihd", (scores - lse[..., None]).exp(), value.to(wide)).to(query.dtype)
    empty = lse.isinf().all(0)
    out[empty], lse[:, empty] = float("nan"), float("inf")
    assert return_aux is not None and return_aux.lse
    return out, lse


def varlen_attn_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    is_causal: bool,
    rng_state: Tensor,
    scale: float | None = None,
    window_size: list[int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """``torch.ops.torch_attn._varlen_attn_backward``."""
    assert is_causal == (window_size == [-1, 0]) and rng_state.dtype == torch.uint64 and rng_state.shape == (2,)
    assert lse.is_contiguous() and lse.shape == (query.shape[1], len(query)) and lse.isfinite().all()
    left, right = window_size or (-1, -1)
    scores, wide = _scores(query, key, cu_seq_q, cu_seq_k, max_q, max_k, scale, (left, right))
    probabilities = (scores - lse[..., None]).exp()
    grad, out_wide = grad_out.to(wide), out.to(wide)
    grad_value = torch.einsum("hij,ihd->jhd", probabilities, grad)
    grad_probabilities = torch.einsum("ihd,jhd->hij", grad, value.to(wide))
    grad_scores = probabilities * (grad_probabilities - (grad * out_wide).sum(-1).t()[..., None]) * scale
    grad_query = torch.einsum("hij,jhd->ihd", grad_scores, key.to(wide))
    grad_key = torch.einsum("hij,ihd->jhd", grad_scores, query.to(wide))
    empty = scores.isneginf().all(-1).all(0)
    grad_query[empty] = float("nan")
    return grad_query.to(query.dtype), grad_key.to(query.dtype), grad_value.to(query.dtype)


def _scores(
    query: Tensor,
    key: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor | None,
    max_q: int,
    max_k: int,
    scale: float | None,
    window_size: tuple[int, int],
) -> tuple[Tensor, torch.dtype]:
    assert cu_seq_k is not None and scale is not None
    lengths = []
    for offsets, longest, x in ((cu_seq_q, max_q, query), (cu_seq_k, max_k, key)):
        assert offsets.dtype == torch.int32 and offsets.is_contiguous()
        assert offsets[0] == 0 and offsets[-1] == len(x) and x.stride(-1) == 1
        assert int(offsets.diff().max()) == longest, "the longest sequence is another one"
        lengths.append(offsets.diff())
    assert len(lengths[0]) == len(lengths[1])
    sequence_q, sequence_k = (torch.repeat_interleave(torch.arange(len(n)), n) for n in lengths)
    place_q, place_k = (torch.arange(len(s)) - o[:-1][s] for s, o in ((sequence_q, cu_seq_q), (sequence_k, cu_seq_k)))
    # the last query is aligned with the last key
    shift = (lengths[1] - lengths[0])[sequence_q]
    offset = place_k - (place_q + shift)[:, None]
    left, right = window_size
    seen = sequence_q[:, None] == sequence_k
    seen &= (offset >= -left) | (left < 0)
    seen &= (offset <= right) | (right < 0)
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = torch.einsum("ihd,jhd->hij", query.to(wide) * scale, key.to(wide))
    return scores.masked_fill(~seen, float("-inf")), wide


def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, *, block_mask: Any, return_aux: Any = None
) -> tuple[Tensor, Any]:
    """``torch.nn.attention.flex_attention.flex_attention``: partial blocks under the mask, full blocks whole."""
    length, size = query.shape[2:]
    block = block_mask.BLOCK_SIZE[0]
    i = torch.arange(length)
    head = torch.arange(query.shape[1])[:, None, None]
    mask = block_mask.mask_mod(torch.zeros(()), head, i[:, None], i)
    b = block_mask
    partial = _blocks(b.kv_num_blocks, b.kv_indices, b.q_num_blocks, b.q_indices)
    full = _blocks(b.full_kv_num_blocks, b.full_kv_indices, b.full_q_num_blocks, b.full_q_indices)
    assert not (partial & full).any()
    partial, full = (x.repeat_interleave(block, 0).repeat_interleave(block, 1) for x in (partial, full))
    assert (mask | ~full).all(), "a block is called full that is not"
    assert (~mask | partial | full).all(), "a visible pair of tokens lies in a block that is left out"
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = torch.einsum("bhid,bhjd->bhij", query.to(wide) * size**-0.5, key.to(wide))
    scores = scores.masked_fill(~mask, float("-inf"))
    lse = scores.logsumexp(-1)
    probabilities = (scores - lse.masked_fill(lse.isinf(), 0.0)[..., None]).exp()
    out = torch.einsum("bhij,bhjd->bhid", probabilities, value.to(wide)).to(query.dtype)
    return out, return_aux._replace(lse=lse)


def _blocks(counts: Tensor, columns: Tensor, counts_back: Tensor | None, rows_back: Tensor | None) -> Tensor:
    """The lists as an (n, n) matrix; those of the transposed matrix, where given, have to say the same."""
    found = _matrix(counts, columns)
    if counts_back is not None and rows_back is not None:
        assert _matrix(counts_back, rows_back).t().equal(found)
    else:
        assert not torch.is_grad_enabled()
    return found


def _matrix(counts: Tensor, columns: Tensor) -> Tensor:
    assert counts.dtype == columns.dtype == torch.int32 and counts.is_contiguous() and columns.is_contiguous()
    n = columns.shape[-1]
    assert counts.shape == (1, 1, n) and columns.shape == (1, 1, n, n)
    found = torch.zeros(n, n, dtype=torch.bool)
    for row, (count, listed) in enumerate(zip(counts[0, 0].tolist(), columns[0, 0].tolist(), strict=True)):
        found[row, listed[:count]] = True
        assert len(set(listed[:count])) == count
    return found
