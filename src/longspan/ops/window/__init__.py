"""Sliding-window attention with global tokens, dilation, segments and dropout: one file a backend."""

from .api import BACKENDS, sliding_window_attention
from .layout import GlobalProjections

__all__ = ["BACKENDS", "GlobalProjections", "sliding_window_attention"]
