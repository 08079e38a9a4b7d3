"""Nyström attention alone: projected q, k, v in, context out, as longspan and its peers compute it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from longspan.ops import nystrom_attention

from .fresh import Work
from .sizes import Sizes, sizes

OURS = "longspan"
THEIRS = "transformers"
PACKAGE = "nystrom-attention"
NAMES = (THEIRS, PACKAGE, OURS)


def states(size: Sizes, tokens: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random q, k and v (1, N, H, D) and convolution weights (H, k), the same for the same arguments."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, tokens, size.heads, size.hidden // size.heads)
    q, k, v = (torch.randn(shape, generator=generator) for _ in range(3))
    return q, k, v, torch.randn(size.heads, size.convolution, generator=generator) / size.convolution


def formula(size: Sizes, tokens: int) -> Tensor:
    """The oracle (1, N, H, D): equation 13 of the paper in float64, a head at a time, with the iterative inverse."""
    q, k, v, convolution = (x.double() for x in states(size, tokens))
    scale = (size.hidden // size.heads) ** -0.5
    runs = (size.landmarks, tokens // size.landmarks, -1)
    means = [[x[0, :, head].reshape(runs).mean(1) for x in (q, k)] for head in range(size.heads)]
    kernels = torch.stack([(a @ b.T * scale).softmax(-1) for a, b in means])
    inverses = kernels.transpose(1, 2) / kernels.sum(1).max()  # one start for all heads, as in the checkpoints
    one = torch.eye(size.landmarks, dtype=torch.float64)
    for _ in range(6):
        product = kernels @ inverses
        inverses = inverses @ (13 * one - product @ (15 * one - product @ (7 * one - product))) / 4
    context = torch.empty_like(v)
    for head, (query_means, key_means) in enumerate(means):
        query, key, value = q[0, :, head], k[0, :, head], v[0, :, head]
        summary = inverses[head] @ ((query_means @ key.T * scale).softmax(-1) @ value)
        smoothed = F.conv1d(value.T[:, None], convolution[head][None, None], padding=size.convolution // 2)[:, 0].T
        context[0, :, head] = (query @ key_means.T * scale).softmax(-1) @ summary + smoothed
    return context


def prepare(name: str, size: Sizes, tokens: int) -> Callable[[], Tensor]:
    """A function that computes the context (1, N, H, D), convolution included."""
    q, k, v, convolution = states(size, tokens)
    if name == OURS:
        return lambda: nystrom_attention(q, k, v, size.landmarks, conv_weight=convolution)  # type: ignore[return-value]
    attend = (_transformers if name == THEIRS else _package)(size, q, k, v, convolution)
    return lambda: attend().view(q.shape)


class _Given(torch.nn.Module):
    """Stands for a linear layer whose result is known already."""

    def __init__(self, result: Tensor) -> None:
        super().__init__()
        self.result = result

    def forward(self, _: Tensor) -> Tensor:
        return self.result


def _transformers(size: Sizes, q: Tensor, k: Tensor, v: Tensor, convolution: Tensor) -> Callable[[], Tensor]:
    """The self-attention of transformers' Nyströmformer, its projections replaced by their results."""
    from transformers.models.nystromformer.modeling_nystromformer import NystromformerSelfAttention

    tokens = q.shape[1]
    config = transformers.NystromformerConfig(
        hidden_size=size.hidden,
        num_attention_heads=size.heads,
        num_landmarks=size.landmarks,
        conv_kernel_size=size.convolution,
        segment_means_seq_len=tokens,
    )
    attention = NystromformerSelfAttention(config).eval()
    attention.query, attention.key, attention.value = (_Given(x.flatten(2)) for x in (q, k, v))
    attention.conv.weight.data = convolution[:, None, :, None].clone()
    unused = torch.zeros(1, tokens, size.hidden)
    return lambda: attention(unused)[0]


def _package(size: Sizes, q: Tensor, k: Tensor, v: Tensor, convolution: Tensor) -> Callable[[], Tensor]:
    """The package nystrom-attention. It computes the same function: means of equal runs, the same inverse and start.

    Its projections have no bias and are replaced by their results; its residual convolution is that of the paper.
    """
    from nystrom_attention import NystromAttention

    attention = NystromAttention(
        dim=size.hidden,
        dim_head=size.hidden // size.heads,
        heads=size.heads,
        num_landmarks=size.landmarks,
        pinv_iterations=6,
        residual_conv_kernel=size.convolution,
    ).eval()
    attention.to_qkv = torch.nn.Identity()
    attention.to_out = torch.nn.Identity()
    attention.res_conv.weight.data = convolution[:, None, :, None].clone()
    projected = torch.cat([x.flatten(2) for x in (q, k, v)], dim=-1)
    return lambda: attention(projected)


def nystrom_case(name: str, quick: bool) -> Work:
    """A case for :func:`benchmarks.fresh.fresh`: the operation at the usual length."""
    size = sizes(quick)
    with torch.inference_mode():
        small, large = prepare(name, size, size.tokens // 4), prepare(name, size, size.tokens)
    return Work(torch.inference_mode()(small), torch.inference_mode()(large))
