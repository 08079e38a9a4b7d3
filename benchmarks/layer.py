"""One encoder layer of base size, forward, against the Longformer layer of transformers with the same weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor

from longspan import LongformerConfig, LongformerModel
from longspan.models.longformer.attention import Visibility

from .measure import Contender, check, machine, report, save, table, time_in_turn


def run(tokens: int = 4096, window: int = 512, repetitions: int = 7, quick: bool = False) -> str:
    """Time a layer at ``tokens`` tokens with one global token; returns the table.

    ``quick`` takes a tiny layer and saves nothing: it shows that the benchmark runs and that the outputs agree.
    """
    sizes: dict[str, Any] = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    if quick:
        tokens, window, repetitions = 256, 32, 2
        sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    fields = {**sizes, "num_hidden_layers": 1, "attention_window": window, "vocab_size": 16}
    torch.manual_seed(0)
    theirs = transformers.LongformerModel(transformers.LongformerConfig(**fields)).eval()
    ours = LongformerModel(LongformerConfig(**fields)).eval()
    ours.load_state_dict(theirs.state_dict())
    hidden = torch.randn(1, tokens, sizes["hidden_size"])

    contenders = [
        Contender("transformers Longformer", lambda: _their_layer(theirs, hidden)),
        Contender("longspan Longformer", lambda: _our_layer(ours, hidden)),
    ]
    with torch.inference_mode():
        check(contenders, 1e-5)
        time_in_turn(contenders, repetitions)
    rows = report(contenders)
    if not quick:
        save("layer", {"tokens": tokens, "window": window, "machine": machine(), "rows": rows})
    return table(rows)


def _their_layer(model: Any, hidden: Tensor) -> Tensor:
    mask = torch.zeros(hidden.shape[:2])
    mask[:, 0] = torch.finfo(hidden.dtype).max  # their sign of a global token
    return model.encoder.layer[0](
        hidden,
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=True,
        output_attentions=False,
    )[0]


def _our_layer(model: LongformerModel, hidden: Tensor) -> Tensor:
    global_mask = torch.zeros(hidden.shape[:2], dtype=torch.bool)
    global_mask[:, 0] = True
    return model.encoder.layer[0](hidden, Visibility(None, global_mask), False)[0]
