"""Sliding window attention with global tokens, in ``keras.ops``: the same numbers on every backend.

Queries are read in blocks of one window each, by ``ops.map``, so that no tensor of N x N elements exists and cost and
memory are linear. Every shape is static but for batch and length, which XLA needs: global tokens take the places of
G slots, of which those without a token are masked.

Shapes: B batch, N tokens, H heads, D head size, d = H * D, G slots, R reach: tokens seen on each side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from .layers import masked_softmax, split_heads

# queries of a block at least: smaller windows would make loops of tiny steps
LEAST_BLOCK = 32


def choose_slots(is_global: Any, slots: int) -> tuple[Any, Any]:
    """Columns (B, G) int32 of each row's global tokens, ascending, and which slots hold one, (B, G) bool.

    ``is_global`` is (B, N) bool. ``slots`` may be more than N; what does not fit is left out, for the caller to refuse.
    """
    length = ops.shape(is_global)[1]
    left = length - ops.arange(length, dtype="int32")
    found, _ = ops.top_k(ops.pad(ops.where(is_global, left, 0), ((0, 0), (0, slots))), slots)
    return ops.where(found > 0, length - found, 0), found > 0


def window_attention(
    query: Any,
    key: Any,
    value: Any,
    visible: Any,
    remote: tuple[Any, Any, Any],
    reach: int,
    dropout: float = 0.0,
    seed: Any = None,
    with_maps: bool = False,
) -> tuple[Any, Any]:
    """Context (B, H, N, D) of each token over its window and the global tokens, in one softmax.

    Args:
        query, key, value: (B, H, N, D); the query is scaled already.
        visible: (B, N) bool, keys that are seen through the window: neither padding nor global.
        remote: keys and values of the global tokens, (B, H, G, D), and which slots hold one, (B, G) bool.
        reach: R.
        dropout, seed: rate of attention dropout and its ``SeedGenerator``.
        with_maps: also return the probabilities before dropout, (B, H, N, G + 2R + 1), the token itself at G + R.
    """
    batch, heads, length, _ = ops.shape(query)
    global_key, global_value, taken = remote
    slots, wide = ops.shape(taken)[1], reach
    block = max(2 * reach, LEAST_BLOCK)
    if isinstance(length, int):
        reach, block = min(reach, max(length - 1, 0)), min(block, length)
    count = (length + block - 1) // block
    alone = isinstance(count, int) and count == 1
    halo = 0 if alone and not with_maps else reach
    step = np.arange(block + 2 * halo)[None, :] - halo - np.arange(block)[:, None]
    band = ops.convert_to_tensor(np.abs(step) <= reach)
    filled = ops.broadcast_to(taken[:, None, None, :], (batch, 1, block, slots))
    flags = ops.cast(visible, "int32")[:, None, :, None]
    parts = {"query": _blocks(query, block, 0, count)[1]}
    parts |= {name: _blocks(x, block, halo, count) for name, x in (("key", key), ("value", value), ("seen", flags))}
    if dropout:  # drawn at once: JAX cannot move a generator on within a map
        shape = (count, batch, heads, block, slots + block + 2 * halo)
        parts["keep"] = keras.random.uniform(shape, seed=seed) >= dropout

    def attend(part: dict[str, Any]) -> tuple[Any, ...]:
        keys = ops.concatenate([global_key, *part["key"]], axis=2)
        values = ops.concatenate([global_value, *part["value"]], axis=2)
        seen = ops.logical_and(band, ops.swapaxes(ops.concatenate(part["seen"], axis=2), 2, 3) > 0)
        scores = ops.matmul(part["query"], ops.swapaxes(keys, 2, 3))
        probabilities = masked_softmax(scores, ops.concatenate([filled, seen], axis=3))
        kept = ops.where(part["keep"], probabilities / (1 - dropout), 0.0) if dropout else probabilities
        context = ops.matmul(ops.cast(kept, values.dtype), values)
        return (context, _unskew(probabilities, slots, reach)) if with_maps else (context,)

    if alone:
        results = tuple(x[None] for x in attend(keras.tree.map_structure(lambda x: x[0], parts)))
    else:
        results = ops.map(attend, parts)
    context, *maps = (_join(x, length) for x in results)
    if not maps:
        return context, None
    edge = ((0, 0), (0, 0), (0, 0), (wide - reach, wide - reach))  # of a window longer than the text
    return context, ops.concatenate([maps[0][..., :slots], ops.pad(maps[0][..., slots:], edge)], axis=3)


def global_rows(
    hidden: Any, chosen: Any, layers: tuple[Any, Any, Any], valid: Any, heads: int, drop: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Context (B, H, G, D) of the global tokens over all valid ones, and their probabilities (B, H, G, N).

    Args:
        hidden: (B, N, d).
        chosen: (B, G, d), those of the global tokens.
        layers: the linear layers query_global, key_global and value_global.
        valid: (B, N) bool.
        heads: H.
        drop: dropout of probabilities.

    Keys and values of all N tokens are not needed: ``q · (W h + b) = (Wᵀ q) · h + q · b`` and
    ``Σ p (W h + b) = W (Σ p h) + b Σ p`` project H * G rows instead of N, wherever those columns are fewer than d.
    """
    query, key, value = layers
    batch, slots, size = ops.shape(chosen)
    width = size // heads
    queries = split_heads(query(chosen) * width**-0.5, heads)
    if isinstance(slots, int) and heads * slots <= size:
        by_head = (size, heads, width)
        turned = ops.einsum("bhge,dhe->bhgd", queries, ops.reshape(key.kernel, by_head))
        scores = ops.matmul(ops.reshape(turned, (batch, heads * slots, size)), ops.swapaxes(hidden, 1, 2))
        offset = ops.einsum("bhge,he->bhg", queries, ops.reshape(key.bias, (heads, width)))
        scores = ops.reshape(scores, (batch, heads, slots, -1)) + ops.expand_dims(offset, -1)
        probabilities = masked_softmax(scores, valid[:, None, None, :])
        kept = ops.cast(drop(probabilities), hidden.dtype)
        summed = ops.matmul(ops.reshape(kept, (batch, heads * slots, -1)), hidden)
        summed = ops.reshape(summed, (batch, heads, slots, size))
        context = ops.einsum("bhgd,dhe->bhge", summed, ops.reshape(value.kernel, by_head))
        total = ops.sum(kept, axis=-1, keepdims=True)
        return context + total * ops.reshape(value.bias, (1, heads, 1, width)), probabilities
    keys, values = (split_heads(x(hidden), heads) for x in (key, value))
    probabilities = masked_softmax(ops.matmul(queries, ops.swapaxes(keys, 2, 3)), valid[:, None, None, :])
    return ops.matmul(ops.cast(drop(probabilities), values.dtype), values), probabilities


def _blocks(x: Any, block: int, halo: int, count: Any) -> tuple[Any, Any, Any]:
    """x (B, H, N, E) in ``count`` blocks with the ``halo`` tokens before and after: three (count, B, H, ·, E).

    Stacked, and no slice at a changing place: the gradient of such a slice is as large as all of x.
    """
    batch, heads, _, size = ops.shape(x)
    x = ops.pad(x, ((0, 0), (0, 0), (halo, halo + block - 1), (0, 0)))

    def stack(first: int, start: int, stop: int) -> Any:
        part = ops.reshape(x[:, :, first : first + count * block], (batch, heads, count, block, size))
        return ops.transpose(part[:, :, :, start:stop], (2, 0, 1, 3, 4))

    return stack(0, 0, halo), stack(halo, 0, block), stack(2 * halo, block - halo, block)


def _join(x: Any, length: Any) -> Any:
    """(count, B, H, block, E) as (B, H, N, E)."""
    count, batch, heads, block, size = ops.shape(x)
    return ops.reshape(ops.transpose(x, (1, 2, 0, 3, 4)), (batch, heads, count * block, size))[:, :, :length]


def _unskew(probabilities: Any, slots: int, reach: int) -> Any:
    """Each query's own window of a block's keys: row i, which starts at column i, is shifted to column 0."""
    batch, heads, block, _ = ops.shape(probabilities)
    flat = ops.reshape(probabilities[..., slots:], (batch, heads, block * (block + 2 * reach)))
    flat = ops.pad(flat, ((0, 0), (0, 0), (0, block)))
    window = ops.reshape(flat, (batch, heads, block, block + 2 * reach + 1))[..., : 2 * reach + 1]
    return ops.concatenate([probabilities[..., :slots], window], axis=3)
