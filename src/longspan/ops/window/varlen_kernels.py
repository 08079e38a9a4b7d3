"""The two kernels that the backend ``flash_varlen`` stands on: ``torch.nn.attention.varlen`` and its backward.

Sequences lie one after the other in a row of T tokens; sequence s holds the tokens ``offsets[s]`` to
``offsets[s + 1] - 1``. The log-sum-exp is (H, T) float32, as the kernel keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_DTYPES = (torch.bfloat16, torch.float16)
_LARGEST_SIZE = 256
_SIZE_MULTIPLE = 8
_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Pairs:
    """Which sequence of keys each sequence of queries sees: the one of the same number.

    Attributes:
        query_offsets, key_offsets: (S + 1,) int32.
        longest_query, longest_key: tokens of the longest sequence.
    """

    query_offsets: Tensor
    key_offsets: Tensor
    longest_query: int
    longest_key: int


def varlen_forward(
    query: Tensor, key: Tensor, value: Tensor, pairs: Pairs, window_size: tuple[int, int], scale: float
) -> tuple[Tensor, Tensor]:
    """Attention within pairs of sequences.

    Args:
        query: (T, H, D).
        key, value: (K, H, D).
        pairs: the sequences.
        window_size: ``(left, right)``, -1 for no limit; the last query is aligned with the last key.
        scale: factor on the scores.

    Returns:
        Context (T, H, D) and log-sum-exp (H, T). What they hold for a sequence without keys is the kernel's affair.
    """
    from torch.nn.attention.varlen import AuxRequest, varlen_attn

    context, lse = varlen_attn(
        query,
        key,
        value,
        pairs.query_offsets,
        pairs.key_offsets,
        pairs.longest_query,
        pairs.longest_key,
        return_aux=AuxRequest(lse=True),
        scale=scale,
        window_size=window_size,
    )
    return context, lse


def varlen_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    lse: Tensor,
    pairs: Pairs,
    window_size: tuple[int, int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value; given a merged context and log-sum-exp, those through this part."""
    # the kernel has no dropout; its random state is the one that the forward keeps
    state = torch.zeros(2, dtype=torch.uint64, device=query.device)
    return _backward_operator(
        grad,
        query,
        key,
        value,
        context,
        lse,
        pairs.query_offsets,
        pairs.key_offsets,
        pairs.longest_query,
        pairs.longest_key,
        window_size == (-1, 0),
        state,
        scale,
        list(window_size),
    )


def _backward_operator(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    import torch.nn.attention.varlen  # registers it

    return torch.ops.torch_attn._varlen_attn_backward(*arguments)


def check_kernels(query: Tensor) -> None:
    """Raise where the kernels cannot take ``query`` (..., D), naming the backends that can.

    Raises:
        NotImplementedError: the device is no CUDA device of capability 8.0.
        TypeError: the dtype is not bfloat16 or float16.
        ValueError: the head size is above 256 or no multiple of 8.
    """
    if query.device.type != "cuda":
        raise NotImplementedError(
            f"the backend 'flash_varlen' runs on CUDA, got tensors on {query.device.type!r}; 'sdpa' and 'reference' "
            "run on any device"
        )
    if query.dtype not in _DTYPES:
        raise TypeError(
            f"query must be of bfloat16 or float16 with the backend 'flash_varlen', got {query.dtype}; "
            "'flex_attention', 'sdpa' and 'reference' take float32 too"
        )
    size = query.shape[-1]
    if size > _LARGEST_SIZE or size % _SIZE_MULTIPLE:
        raise ValueError(
            f"query must have a head size that is a multiple of {_SIZE_MULTIPLE} and at most {_LARGEST_SIZE} with the "
            f"backend 'flash_varlen', got {size}; 'sdpa' and 'reference' take any"
        )
    capability = torch.cuda.get_device_capability(query.device)
    if capability < _CAPABILITY:
        raise NotImplementedError(
            f"the backend 'flash_varlen' needs compute capability {'.'.join(map(str, _CAPABILITY))}, "
            f"{torch.cuda.get_device_name(query.device)} has {'.'.join(map(str, capability))}; "
            "'flex_attention', 'sdpa' and 'reference' run there"
        )
