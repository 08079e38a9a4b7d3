"""Rows of one layer in float64, for every model of the benchmark, from the states that the layer read.

What they cost is O(N) at most, so they fit any document. ``read`` gives the states (n, d) in float64 at positions (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Read = Callable[[Tensor], Tensor]
Keys = Iterable[tuple[Tensor, float]]
"""Positions of keys, and how often each of them counts."""
PIECE = 8192


def layers(model: Any) -> Any:
    """The model's layers."""
    return model.layers if _is_modern(model) else model.encoder.layer


def embeddings(model: Any, ids: Tensor, positions: Tensor) -> Tensor:
    """What the first layer reads (n, d) at ``positions`` of the document ``ids`` (N,)."""
    module = model.embeddings
    if _is_modern(model):
        return norm(module.norm, module.tok_embeddings.weight[ids[positions]].double())
    reserved = 0 if "BigBird" in type(model).__name__ else 2
    places = positions % (getattr(model.config, "position_period", None) or len(ids)) + reserved
    weights = (
        module.word_embeddings.weight[ids[positions]],
        module.position_embeddings.weight[places],
        module.token_type_embeddings.weight[:1],
    )
    return norm(module.LayerNorm, weights[0].double() + weights[1].double() + weights[2].double())


def model_rows(model: Any, read: Read, tokens: int, rows: Tensor, global_token: bool) -> Tensor:
    """Rows (R, d) of the model's output, from what its last layer read."""
    found = layer_rows(model, len(layers(model)) - 1, read, tokens, rows, global_token)
    return norm(model.final_norm, found) if _is_modern(model) else found


def layer_rows(model: Any, number: int, read: Read, tokens: int, rows: Tensor, global_token: bool) -> Tensor:
    """Rows (R, d) of the output of a layer."""
    layer = layers(model)[number]
    if _is_modern(model):
        return torch.cat([_modern_row(model, layer, read, tokens, row) for row in rows.split(1)])
    attention = layer.attention.self
    if hasattr(attention, "conv"):
        context = _nystrom(attention, model.config, read, tokens, rows)
    elif hasattr(attention, "query_global"):
        window = model.config.attention_window
        side = (window if isinstance(window, int) else window[number]) // 2
        context = torch.cat([_longformer(attention, read, tokens, row, side, global_token) for row in rows.split(1)])
    elif getattr(model, "attention_type", "") == "block_sparse":
        keys = [_bigbird_keys(model.config, tokens, row) for row in rows.split(1)]
        context = torch.cat([_attend(attention, read, row, k) for row, k in zip(rows.split(1), keys, strict=True)])
    else:
        context = _attend(attention, read, rows, _all(tokens, rows))
    states = norm(layer.attention.output.LayerNorm, linear(layer.attention.output.dense, context) + read(rows))
    form = "tanh" if model.config.hidden_act == "gelu_new" else "none"
    wide = F.gelu(linear(layer.intermediate.dense, states), approximate=form)
    return norm(layer.output.LayerNorm, linear(layer.output.dense, wide) + states)


def linear(module: Any, x: Tensor) -> Tensor:
    """``module(x)`` in float64."""
    return F.linear(x, module.weight.double(), None if module.bias is None else module.bias.double())


def norm(module: Any, x: Tensor) -> Tensor:
    """``module(x)`` in float64, of a LayerNorm or none."""
    if isinstance(module, torch.nn.Identity):
        return x
    bias = None if module.bias is None else module.bias.double()
    return F.layer_norm(x, x.shape[-1:], module.weight.double(), bias, module.eps)


def softmax_sum(query: Tensor, pieces: Iterable[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Softmax attention (R, H * D) of queries (R, H, D) over pieces of keys and values (n, H, D) with their counts."""
    top = query.new_full(query.shape[:2], float("-inf"))
    total, context = torch.zeros_like(top), torch.zeros_like(query)
    for key, value, times in pieces:
        scores = torch.einsum("rhd,nhd->rhn", query, key) * query.shape[-1] ** -0.5
        higher = torch.maximum(top, scores.amax(-1))
        weights, shrunk = (scores - higher[..., None]).exp() * times, (top - higher).exp()
        total = total * shrunk + weights.sum(-1)
        context = context * shrunk[..., None] + torch.einsum("rhn,nhd->rhd", weights, value)
        top = higher
    return (context / total[..., None]).flatten(1)


def _is_modern(model: Any) -> bool:
    return "ModernBert" in type(model).__name__


def _all(tokens: int, like: Tensor) -> Keys:
    return [(piece, 1.0) for piece in torch.arange(tokens, device=like.device).split(PIECE)]


def _project(attention: Any, name: str, x: Tensor) -> Tensor:
    heads = getattr(attention, "num_heads", None) or attention.num_attention_heads
    return linear(getattr(attention, name), x).unflatten(-1, (heads, -1))


def _attend(
    attention: Any, read: Read, rows: Tensor, keys: Keys, kind: str = "", query: Tensor | None = None
) -> Tensor:
    """Context (R, d) of rows, or of given queries (R, H, D), over keys, through the projections of a ``kind``."""
    states = ((read(positions), times) for positions, times in keys)
    pieces = ((_project(attention, "key" + kind, x), _project(attention, "value" + kind, x), n) for x, n in states)
    return softmax_sum(_project(attention, "query" + kind, read(rows)) if query is None else query, pieces)


def _longformer(attention: Any, read: Read, tokens: int, row: Tensor, side: int, global_token: bool) -> Tensor:
    """Context (1, d): the window and the global token; of the global token everything, in its own projections."""
    if global_token and row == 0:
        return _attend(attention, read, row, _all(tokens, row), "_global")
    low, high = max(0, int(row) - side), min(tokens, int(row) + side + 1)
    keys = torch.arange(low, high, device=row.device)
    if global_token and low > 0:
        keys = torch.cat((torch.zeros_like(row), keys))
    return _attend(attention, read, row, [(keys, 1.0)])


def _bigbird_keys(config: Any, tokens: int, row: Tensor) -> Keys:
    """The neighbour blocks, the first, the last and the random ones; of the first and the last block's rows everything.

    Without training ``transformers`` draws nothing: each random block is block 0, which counts once more for it.
    """
    blocks = torch.arange(tokens, device=row.device).view(-1, config.block_size)
    last, own = len(blocks) - 1, int(row) // config.block_size
    if own in (0, last):
        return _all(tokens, row)
    near = sorted({own - 1, own, own + 1, last} - {0})
    return [(blocks[0], 1.0 + config.num_random_blocks), (blocks[near].flatten(), 1.0)]


def _nystrom(attention: Any, config: Any, read: Read, tokens: int, rows: Tensor) -> Tensor:
    """Context (R, d): equation 13 of the paper, its inverse by six iterations, and the convolution of the values."""
    marks, keys = config.num_landmarks, _all(tokens, rows)
    means = torch.zeros(marks, config.hidden_size, dtype=torch.float64, device=rows.device)
    for positions, _ in keys:
        means.index_add_(0, positions * marks // tokens, read(positions) * marks / tokens)
    queries, landmarks = (_project(attention, name, means) for name in ("query", "key"))
    scale = queries.shape[-1] ** -0.5
    kernel = (torch.einsum("mhd,bhd->hmb", queries, landmarks) * scale).softmax(-1)
    inverse = kernel.transpose(1, 2) / kernel.sum(1).max()  # one start for all heads, as in the checkpoints
    one = torch.eye(marks, dtype=torch.float64, device=rows.device)
    for _ in range(6):
        product = kernel @ inverse
        inverse = inverse @ (13 * one - product @ (15 * one - product @ (7 * one - product))) / 4
    summary = _attend(attention, read, rows, keys, query=queries).view(queries.shape)
    scores = torch.einsum("rhd,bhd->hrb", _project(attention, "query", read(rows)), landmarks) * scale
    context = torch.einsum("hrb,bhd->rhd", scores.softmax(-1) @ inverse, summary)
    taps = attention.conv.weight.flatten(1).double()
    reach = torch.arange(taps.shape[1], device=rows.device) - taps.shape[1] // 2
    for number, row in enumerate(rows):
        inside = (row + reach >= 0) & (row + reach < tokens)
        values = _project(attention, "value", read((row + reach)[inside]))
        context[number] += torch.einsum("hn,nhd->hd", taps[:, inside], values)
    return context.flatten(1)


def _modern_row(model: Any, layer: Any, read: Read, tokens: int, row: Tensor) -> Tensor:
    """One row (1, d) of a layer of ModernBERT. Its angles are the model's own, in float32, whose rounding is theirs."""
    side = layer.attn.sliding_window - 1 if layer.attn.sliding_window else tokens

    def project(positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        states = read(positions)
        angles = model.rotary_emb(states.float(), positions[None], layer.attention_type)
        cos, sin = (x[0, :, None].double() for x in angles)
        projected = linear(layer.attn.Wqkv, norm(layer.attn_norm, states)).view(len(states), 3, -1, layer.attn.head_dim)
        query, key, value = projected.unbind(1)
        turned = [x * cos + torch.cat((-x.chunk(2, -1)[1], x.chunk(2, -1)[0]), -1) * sin for x in (query, key)]
        return turned[0], turned[1], value

    keys = torch.arange(max(0, int(row) - side), min(tokens, int(row) + side + 1), device=row.device)
    context = softmax_sum(project(row)[0], ((*project(piece)[1:], 1.0) for piece in keys.split(PIECE)))
    states = read(row) + linear(layer.attn.Wo, context)
    first, gate = linear(layer.mlp.Wi, norm(layer.mlp_norm, states)).chunk(2, -1)
    return states + linear(layer.mlp.Wo, F.gelu(first) * gate)
