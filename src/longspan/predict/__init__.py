"""A checkpoint applied to documents and data sets. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answering import Reply, answer
    from .classifying import Classification, classify
    from .embedding import Embedder, embed
    from .evaluation import Evaluation, evaluate
    from .filling import Gap, fill
    from .loading import Checkpoint, load
    from .predictions import predict
    from .tag import Tagger

_HOMES = {
    "Checkpoint": "loading",
    "Classification": "classifying",
    "Embedder": "embedding",
    "Evaluation": "evaluation",
    "Gap": "filling",
    "Reply": "answering",
    "Tagger": "tag",
    "answer": "answering",
    "classify": "classifying",
    "embed": "embedding",
    "evaluate": "evaluation",
    "fill": "filling",
    "load": "loading",
    "predict": "predictions",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
