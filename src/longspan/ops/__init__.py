"""Functions on tensors; torch only."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .nystrom import NystromFactors, nystrom_attention
    from .window import GlobalProjections, GlobalStates, attention_maps, dense_map, sliding_window_attention

__all__ = [
    "GlobalProjections",
    "GlobalStates",
    "NystromFactors",
    "attention_maps",
    "dense_map",
    "nystrom_attention",
    "sliding_window_attention",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(".nystrom" if "ystrom" in name else ".window", __name__), name)
