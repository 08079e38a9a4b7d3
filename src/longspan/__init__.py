"""Longformer and Nyströmformer for long documents.

Everything public can be imported from here. Names load on first use: ``import longspan`` alone loads neither torch nor
transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "LongformerConfig",
    "LongformerTokenizer",
    "LongformerTokenizerFast",
    "LongformerPreTrainedModel",
    "LongformerModel",
    "LongformerForMaskedLM",
    "LongformerForCausalLM",
    "LongformerForSequenceClassification",
    "LongformerForMultipleChoice",
    "LongformerForTokenClassification",
    "LongformerForQuestionAnswering",
    "LongformerBaseModelOutput",
    "LongformerBaseModelOutputWithPooling",
    "LongformerMaskedLMOutput",
    "LongformerSequenceClassifierOutput",
    "LongformerMultipleChoiceModelOutput",
    "LongformerTokenClassifierOutput",
    "LongformerQuestionAnsweringModelOutput",
    "NystromformerConfig",
    "NystromformerPreTrainedModel",
    "NystromformerModel",
    "NystromformerForMaskedLM",
    "NystromformerForSequenceClassification",
    "NystromformerForMultipleChoice",
    "NystromformerForTokenClassification",
    "NystromformerForQuestionAnswering",
    "sliding_window_attention",
    "nystrom_attention",
    "GlobalProjections",
    "register",
    "convert",
    "speed_up",
    "undo_speed_up",
]

# A public name lives where its beginning says; all the others live in longspan.ops.
_HOMES = {
    "Longformer": "longspan.models.longformer",
    "Nystromformer": "longspan.models.nystromformer",
    "register": "longspan.models.register",
    "convert": "longspan.models.conversion",
    "speed_up": "longspan.models.speed_up",
    "undo_speed_up": "longspan.models.speed_up",
}
_SUBMODULES = ("keras", "models", "ops", "predict", "tasks", "train")

# The TensorFlow classes, which an extra brings: not in __all__, so that a star import works without it.
_TENSORFLOW = {
    f"TF{name}"
    for name in __all__
    if name.startswith(("Longformer", "Nystromformer"))
    and not name.endswith(("Config", "Tokenizer", "TokenizerFast", "ForCausalLM"))
}

if TYPE_CHECKING:
    from longspan.models.conversion import convert
    from longspan.models.longformer import (
        LongformerBaseModelOutput,
        LongformerBaseModelOutputWithPooling,
        LongformerConfig,
        LongformerForCausalLM,
        LongformerForMaskedLM,
        LongformerForMultipleChoice,
        LongformerForQuestionAnswering,
        LongformerForSequenceClassification,
        LongformerForTokenClassification,
        LongformerMaskedLMOutput,
        LongformerModel,
        LongformerMultipleChoiceModelOutput,
        LongformerPreTrainedModel,
        LongformerQuestionAnsweringModelOutput,
        LongformerSequenceClassifierOutput,
        LongformerTokenClassifierOutput,
        LongformerTokenizer,
        LongformerTokenizerFast,
    )
    from longspan.models.nystromformer import (
        NystromformerConfig,
        NystromformerForMaskedLM,
        NystromformerForMultipleChoice,
        NystromformerForQuestionAnswering,
        NystromformerForSequenceClassification,
        NystromformerForTokenClassification,
        NystromformerModel,
        NystromformerPreTrainedModel,
    )
    from longspan.models.register import register
    from longspan.models.speed_up import speed_up, undo_speed_up
    from longspan.ops import GlobalProjections, nystrom_attention, sliding_window_attention


def __getattr__(name: str) -> Any:
    """Load the public name (or subpackage) ``name`` on first use."""
    if name in __all__:
        home = next((home for beginning, home in _HOMES.items() if name.startswith(beginning)), "longspan.ops")
        value = getattr(import_module(home), name)
    elif name in _SUBMODULES:
        value = import_module(f"longspan.{name}")
    elif name in _TENSORFLOW:
        value = getattr(import_module("longspan.keras"), name)
    else:
        raise AttributeError(f"module 'longspan' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
