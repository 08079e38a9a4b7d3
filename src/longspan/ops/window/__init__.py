"""Sliding-window attention with global tokens, dilation, segments and dropout: one file a backend."""

from .api import BACKENDS, sliding_window_attention
from .layout import GlobalProjections, GlobalStates
from .maps import attention_maps, dense_map

__all__ = ["BACKENDS", "GlobalProjections", "GlobalStates", "attention_maps", "dense_map", "sliding_window_attention"]
