"""Longformer and Nyströmformer in Keras 3: on TensorFlow, JAX or torch, without torch unless it is the backend.

The classes read and write the checkpoints of the torch classes. They need the extra ``tf``, ``jax`` or ``keras``.
"""

import importlib.util

if importlib.util.find_spec("keras") is None:
    raise ImportError(
        'longspan.keras needs Keras and one of its backends: pip install "longspan[tf]", or "longspan[jax]"'
    )

from .configuration import LongformerConfig, NystromformerConfig
from .longformer import (
    TFLongformerForMaskedLM,
    TFLongformerForMultipleChoice,
    TFLongformerForQuestionAnswering,
    TFLongformerForSequenceClassification,
    TFLongformerForTokenClassification,
    TFLongformerModel,
    TFLongformerPreTrainedModel,
)
from .nystromformer import (
    TFNystromformerForMaskedLM,
    TFNystromformerForMultipleChoice,
    TFNystromformerForQuestionAnswering,
    TFNystromformerForSequenceClassification,
    TFNystromformerForTokenClassification,
    TFNystromformerModel,
    TFNystromformerPreTrainedModel,
)
from .outputs import (
    TFLongformerBaseModelOutput,
    TFLongformerBaseModelOutputWithPooling,
    TFLongformerMaskedLMOutput,
    TFLongformerMultipleChoiceModelOutput,
    TFLongformerQuestionAnsweringModelOutput,
    TFLongformerSequenceClassifierOutput,
    TFLongformerTokenClassifierOutput,
    TFNystromformerHeadOutput,
    TFNystromformerModelOutput,
)
