"""Longformer: sliding-window attention with global tokens. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .causal import LongformerForCausalLM
    from .configuration import LongformerConfig
    from .modeling import LongformerModel, LongformerPreTrainedModel
    from .outputs import (
        LongformerBaseModelOutput,
        LongformerBaseModelOutputWithPooling,
        LongformerMaskedLMOutput,
        LongformerMultipleChoiceModelOutput,
        LongformerQuestionAnsweringModelOutput,
        LongformerSequenceClassifierOutput,
        LongformerTokenClassifierOutput,
    )
    from .row_heads import LongformerForMultipleChoice, LongformerForSequenceClassification
    from .token_heads import (
        LongformerForMaskedLM,
        LongformerForQuestionAnswering,
        LongformerForTokenClassification,
    )
    from .tokenization import LongformerTokenizer, LongformerTokenizerFast

_HOMES = {
    "LongformerBaseModelOutput": "outputs",
    "LongformerBaseModelOutputWithPooling": "outputs",
    "LongformerConfig": "configuration",
    "LongformerForCausalLM": "causal",
    "LongformerForMaskedLM": "token_heads",
    "LongformerForMultipleChoice": "row_heads",
    "LongformerForQuestionAnswering": "token_heads",
    "LongformerForSequenceClassification": "row_heads",
    "LongformerForTokenClassification": "token_heads",
    "LongformerMaskedLMOutput": "outputs",
    "LongformerModel": "modeling",
    "LongformerMultipleChoiceModelOutput": "outputs",
    "LongformerPreTrainedModel": "modeling",
    "LongformerQuestionAnsweringModelOutput": "outputs",
    "LongformerSequenceClassifierOutput": "outputs",
    "LongformerTokenClassifierOutput": "outputs",
    "LongformerTokenizer": "tokenization",
    "LongformerTokenizerFast": "tokenization",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
