"""Longformer: sliding-window attention with global tokens. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration import LongformerConfig
    from .heads import (
        LongformerForMaskedLM,
        LongformerForMultipleChoice,
        LongformerForQuestionAnswering,
        LongformerForSequenceClassification,
        LongformerForTokenClassification,
    )
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
    from .tokenization import LongformerTokenizer, LongformerTokenizerFast

__all__ = [
    "LongformerBaseModelOutput",
    "LongformerBaseModelOutputWithPooling",
    "LongformerConfig",
    "LongformerForMaskedLM",
    "LongformerForMultipleChoice",
    "LongformerForQuestionAnswering",
    "LongformerForSequenceClassification",
    "LongformerForTokenClassification",
    "LongformerMaskedLMOutput",
    "LongformerModel",
    "LongformerMultipleChoiceModelOutput",
    "LongformerPreTrainedModel",
    "LongformerQuestionAnsweringModelOutput",
    "LongformerSequenceClassifierOutput",
    "LongformerTokenClassifierOutput",
    "LongformerTokenizer",
    "LongformerTokenizerFast",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("Config"):
        home = "configuration"
    elif "Tokenizer" in name:
        home = "tokenization"
    elif "Output" in name:
        home = "outputs"
    else:
        home = "heads" if "LongformerFor" in name else "modeling"
    return getattr(import_module(f".{home}", __name__), name)
