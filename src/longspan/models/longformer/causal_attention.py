"""Longformer's causal self-attention: dilated windows into the past, relative positions, a rolling cache."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.window import sliding_window_attention
from ...ops.window.rolling import RollingWindow
from ..layers import linear
from .attention import BACKENDS
from .configuration import LongformerConfig

# what computes the window over cached keys, for the names of attn_implementation that have a cache
KERNELS = {"eager": "reference", "sdpa": "aten", "cpp": "cpp"}


class RollingCache:
    """The keys and values that later tokens may still see, of all layers: as much memory at any length of text.

    ``transformers``' ``generate`` takes it for a cache. It cannot forget its last tokens again.

    Args:
        config: of the model.
        backend: the model's ``attn_implementation``.

    Raises:
        NotImplementedError: the backend has no cache.
    """

    # generate asks for both
    is_compileable = False
    is_croppable = False

    def __init__(self, config: LongformerConfig, backend: str = "sdpa") -> None:
        if backend not in KERNELS:
            names = ", ".join(map(repr, KERNELS))
            raise NotImplementedError(f"attn_implementation must be one of {names} for a cache, got {backend!r}")
        scale = (config.hidden_size // config.num_attention_heads) ** -0.5
        self.windows = config.windows
        """Of the layers when it began."""
        self.layers = [
            RollingWindow(window // 2, dilation, scale, KERNELS[backend])
            for window, dilation in zip(self.windows, config.dilations, strict=True)
        ]
        self.rows: int | None = None
        """Of the tokens in it; None while there are none."""
        self._length = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens so far, those that nobody sees any more included."""
        return self._length

    def advance(self, rows: int, tokens: int) -> None:
        """Count ``tokens`` of each of ``rows``, which all layers have taken in."""
        self.rows = rows
        self._length += tokens

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Put row ``beam_idx[b]`` in the place of row b."""
        self.rows = len(beam_idx)
        for layer in self.layers:
            layer.reorder(beam_idx)


class CausalVisibility(NamedTuple):
    """Who sees whom, and where they stand; the same for all layers.

    Attributes:
        segment_ids: (B, N) int64, -1 at padding, or None without padding and segments.
        cosine, sine: (N, D / 2), see :func:`sinusoids`.
        cache: of the tokens before, or None.
    """

    segment_ids: Tensor | None
    cosine: Tensor
    sine: Tensor
    cache: RollingCache | None


class CausalSelfAttention(nn.Module):
    """Dilated windows into the past of one layer (Longformer, sections 3.1 and 4.1).

    Positions are relative and sinusoidal (Dai et al., Transformer-XL, arXiv 1901.02860, section 3.3): query i gives
    key j the score ``(q_i + u) k_j + (q_i + v) W R(i - j)``, where R are D / 2 cosines and sines of the distance. The
    cosine of a difference is a sum of products, so the second term is a product of what i and what j knows: D more
    features of the queries and keys, and no table of distances.
    """

    def __init__(self, config: LongformerConfig, layer: int) -> None:
        super().__init__()
        size, heads = config.hidden_size, config.num_attention_heads
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.position = nn.Linear(size // heads, size, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(size))
        self.position_bias = nn.Parameter(torch.zeros(size))
        self.num_heads = heads
        self.dropout = config.attention_probs_dropout_prob
        self.config, self.layer = config, layer

    def forward(
        self, hidden_states: Tensor, visibility: CausalVisibility, output_attentions: bool
    ) -> tuple[Tensor, None, None]:
        """Context (B, N, d); there are no maps."""
        segment_ids, _, _, cache = visibility
        query, key, value = self._project(hidden_states, visibility)
        valid = None if segment_ids is None else segment_ids >= 0
        if cache is not None and cache.get_seq_length():
            context = cache.layers[self.layer].attend(query, key, value, valid)
        else:
            context = sliding_window_attention(
                query,
                key,
                value,
                (self.config.windows[self.layer] // 2, 0),
                segment_ids=segment_ids,
                dilation=self.config.dilations[self.layer],
                dropout_p=self.dropout if self.training else 0.0,
                scale=self._size**-0.5,
                backend=BACKENDS[self.config._attn_implementation or "sdpa"],
            )
            if cache is not None:
                cache.layers[self.layer].append(key.detach(), value.detach(), valid)
        return context[..., : self._size].flatten(2), None, None

    @property
    def _size(self) -> int:
        return self.config.hidden_size // self.num_heads

    def _project(self, hidden_states: Tensor, visibility: CausalVisibility) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value (B, N, H, 2 D): contents and positions; the second half of the value is 0."""
        heads = (self.num_heads, self._size)
        query, key, value = (linear(p, hidden_states).unflatten(-1, heads) for p in (self.query, self.key, self.value))
        for_contents, for_places = (x.unflatten(0, heads) for x in (self.content_bias, self.position_bias))
        cosine, sine = (x[:, None].to(query.dtype) for x in (visibility.cosine, visibility.sine))
        weight = self.position.weight.unflatten(0, heads)
        even, odd = torch.einsum("bnhd,hdf->bnhf", query + for_places, weight).chunk(2, -1)
        query = torch.cat([query + for_contents, even * cosine + odd * sine, even * sine - odd * cosine], -1)
        place = torch.cat([cosine, sine], -1).expand_as(key)
        return query.to(key.dtype), torch.cat([key, place], -1), F.pad(value, (0, self._size))


def sinusoids(start: int, length: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (length, size / 2) of positions from ``start`` on, in the dtype and on the device of ``like``.

    Angles are in float64: a text may be as long as you like.
    """
    device = like.device if like.device.type != "mps" else "cpu"
    frequency = 10_000.0 ** (torch.arange(0, size, 2, dtype=torch.float64, device=device) / -size)
    angles = torch.arange(start, start + length, dtype=torch.float64, device=device)[:, None] * frequency
    return angles.cos().to(like), angles.sin().to(like)
