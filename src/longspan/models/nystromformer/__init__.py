"""Nyströmformer: configuration, encoder, five task heads and tokenizer. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration import NystromformerConfig
    from .modeling import NystromformerModel, NystromformerPreTrainedModel
    from .row_heads import NystromformerForMultipleChoice, NystromformerForSequenceClassification
    from .token_heads import (
        NystromformerForMaskedLM,
        NystromformerForQuestionAnswering,
        NystromformerForTokenClassification,
    )
    from .tokenization import NystromformerTokenizer

_HOMES = {
    "NystromformerConfig": "configuration",
    "NystromformerForMaskedLM": "token_heads",
    "NystromformerForMultipleChoice": "row_heads",
    "NystromformerForQuestionAnswering": "token_heads",
    "NystromformerForSequenceClassification": "row_heads",
    "NystromformerForTokenClassification": "token_heads",
    "NystromformerModel": "modeling",
    "NystromformerPreTrainedModel": "modeling",
    "NystromformerTokenizer": "tokenization",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
