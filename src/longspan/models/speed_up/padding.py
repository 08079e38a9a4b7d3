"""``transformers`` pads the input of a Longformer and of an LED encoder to their windows; nothing here needs that.

The functions take the place of a model's method of the same parameters, as an attribute of the object.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from .window import FastWindowAttention

_METHOD = "_pad_to_window_size"


def _keep_longformer_length(
    input_ids: Any, attention_mask: Any, token_type_ids: Any, position_ids: Any, inputs_embeds: Any, pad_token_id: Any
) -> tuple[Any, ...]:
    return 0, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds


def _keep_led_length(input_ids: Any, attention_mask: Any, inputs_embeds: Any, pad_token_id: Any) -> tuple[Any, ...]:
    return 0, input_ids, attention_mask, inputs_embeds


_KEEPERS = {"LongformerModel": _keep_longformer_length, "LEDEncoder": _keep_led_length}


def stop_padding(module: Any) -> None:
    """Leave the input of ``module`` at its length, where it is one of those models and all its layers take that."""
    if type(module).__name__ not in _KEEPERS or not hasattr(module, _METHOD) or _METHOD in vars(module):
        return
    layers = module.layers if hasattr(module, "layers") else module.encoder.layer
    if all(_takes_any_length(layer) for layer in layers):
        setattr(module, _METHOD, _KEEPERS[type(module).__name__])


def _takes_any_length(layer: nn.Module) -> bool:
    # a feed-forward in chunks wants a multiple of their size
    chunk = getattr(layer, "chunk_size_feed_forward", 0)
    return not chunk and any(isinstance(part, FastWindowAttention) for part in layer.modules())


def pad_again(module: nn.Module) -> None:
    """Undo :func:`stop_padding`."""
    if vars(module).get(_METHOD) in _KEEPERS.values():
        delattr(module, _METHOD)
