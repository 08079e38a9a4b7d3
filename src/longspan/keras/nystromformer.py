"""Nyströmformer (Xiong et al., arXiv 2102.03902) on TensorFlow, JAX or torch, in one source.

Shapes: B batch, N tokens, H heads, D head size, d = H * D hidden size, m landmarks.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from .configuration import NystromformerConfig
from .heads import MaskedLM, MultipleChoice, QuestionAnswering, SequenceClassification, TokenClassification
from .layers import EncoderLayer, Sight, first_true, join_heads, masked_softmax, split_heads, warn_once
from .models import PreTrainedModel
from .outputs import TFNystromformerHeadOutput, TFNystromformerModelOutput

_STEPS = 6


def iterative_inverse(matrix: Any, exact_scale: bool) -> Any:
    """The pseudo-inverse of matrices (B, H, m, m) whose rows sum to 1, in float32, by six steps of third order.

    The first guess is the transpose over the largest column sum, of each matrix with ``exact_scale``, else of the H
    matrices of one document.
    """
    columns = ops.sum(matrix, axis=-2, keepdims=True)
    inverse = ops.swapaxes(matrix, -1, -2) / ops.max(columns, axis=-1 if exact_scale else (-3, -1), keepdims=True)
    identity = ops.eye(ops.shape(matrix)[-1], dtype=matrix.dtype)
    for _ in range(_STEPS):
        product = ops.matmul(matrix, inverse)
        inner = 15 * identity - ops.matmul(product, 7 * identity - product)
        inverse = ops.matmul(inverse, 13 * identity - ops.matmul(product, inner)) / 4
    return inverse


def nystrom_factors(query: Any, key: Any, valid: Any, landmarks: int, exact_scale: bool) -> tuple[Any, Any, Any]:
    """The factors (B, H, N, m), (B, H, m, m) and (B, H, m, N), whose product is the attention map.

    ``query`` (scaled) and ``key`` are (B, H, N, D). Landmarks are means of runs of consecutive valid tokens: of n, that
    of rank r belongs to run ``r * m // n``. A document of at most m tokens gets exact softmax attention: each of its
    landmarks is a token, the inverse the identity.
    """
    flags = ops.cast(valid, "int32")
    count = ops.maximum(ops.sum(flags, axis=1, keepdims=True), 1)
    run = ops.where(valid, (ops.cumsum(flags, axis=1) - 1) * landmarks // count, landmarks)
    member = ops.expand_dims(run, 1) == ops.arange(landmarks, dtype="int32")[None, :, None]
    member = ops.cast(member, "float32")[:, None]
    size = ops.sum(member, axis=-1, keepdims=True)
    average = member / ops.maximum(size, 1.0)
    query_means, key_means = (ops.cast(ops.matmul(average, ops.cast(x, "float32")), x.dtype) for x in (query, key))
    filled, short = ops.swapaxes(size, 2, 3) > 0, count[:, :, None, None] <= landmarks

    def attend(a: Any, b: Any, seen: Any) -> Any:
        return masked_softmax(ops.matmul(a, ops.swapaxes(b, -1, -2)), seen)

    identity = ops.eye(landmarks, dtype="float32")
    kernel_1 = ops.where(valid[:, None, :, None], attend(query, key_means, filled), 0.0)
    kernel_2 = ops.where(short, identity, attend(query_means, key_means, filled))
    inverse = ops.where(short, identity, iterative_inverse(kernel_2, exact_scale))
    kernel_3 = ops.where(short, member, attend(query_means, key, valid[:, None, None, :]))
    return ops.cast(kernel_1, query.dtype), inverse, ops.cast(kernel_3, query.dtype)


class HeadConvolution(keras.layers.Layer):
    """The depthwise convolution over values, one kernel for each head, (H, 1, k, 1) as in the checkpoint."""

    def __init__(self, key: str, heads: int, size: int, dtype: Any) -> None:
        super().__init__(name=key, dtype=dtype)
        self.weight = self.add_weight(name="weight", shape=(heads, 1, size, 1), initializer="he_uniform")
        self.built = True

    def call(self, value: Any) -> Any:
        """(B, N, d), 0 at padding, to (B, N, d); 0 is read beyond the row."""
        heads, _, size, _ = self.weight.shape
        kernel = ops.repeat(ops.transpose(ops.reshape(self.weight, (heads, size))), value.shape[-1] // heads, axis=1)
        return ops.depthwise_conv(value, ops.expand_dims(kernel, -1), padding="same", data_format="channels_last")


class NystromformerLayer(EncoderLayer):
    """Nyströmformer, section 3. Probabilities have no dropout, as ever."""

    def __init__(self, config: Any, index: int, dtype: Any) -> None:
        super().__init__(config, index, dtype)
        key, size = f"encoder-layer-{index}-attention-self-conv", config.conv_kernel_size
        self.conv = None if size is None else HeadConvolution(key, self.heads, size, dtype)

    def attend(self, hidden: Any, sight: Sight, training: bool) -> tuple[Any, Any]:
        config, valid = self.config, sight.valid
        query, key = (split_heads(x(hidden), self.heads) for x in (self.query, self.key))
        query = query * query.shape[-1] ** -0.5
        rows, value = valid[:, :, None], self.value(hidden)
        value = ops.where(rows, value, ops.zeros_like(value))
        values = split_heads(value, self.heads)
        maps: Any
        if config.uses_softmax:
            maps = masked_softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)), valid[:, None, None, :])
            maps = ops.cast(ops.where(rows[:, None], maps, 0.0), value.dtype)
            context = ops.matmul(maps, values)
        else:
            maps = nystrom_factors(query, key, valid, config.num_landmarks, config.inv_coeff_init_option)
            summary = ops.matmul(maps[1], ops.cast(ops.matmul(maps[2], values), "float32"))  # right to left
            context = ops.matmul(maps[0], ops.cast(summary, value.dtype))
        context = join_heads(context) + (0 if self.conv is None else self.conv(value))
        return ops.where(rows, context, ops.zeros_like(context)), maps


class TFNystromformerPreTrainedModel(PreTrainedModel):
    """Base of the Nyströmformer classes."""

    config_class = NystromformerConfig
    layer_class = NystromformerLayer
    mask_values = 2
    without = ("head_mask", "global_attention_mask")
    mlm_keys = ("cls-predictions", "cls-predictions-transform-dense", "cls-predictions-transform-LayerNorm")
    choice_key = "pre_classifier"
    activations = None
    masks_padding = True

    def places(self, inputs: dict[str, Any], valid: Any) -> Any:
        return ops.where(valid, ops.arange(ops.shape(valid)[1], dtype="int32")[None, :] - first_true(valid), 0)

    def look(self, inputs: dict[str, Any], valid: Any) -> tuple[Sight, Any]:
        config = self.config
        if config.attention_type is None and config.uses_softmax:
            warn_once(
                f"num_landmarks and segment_means_seq_len are both {config.num_landmarks}, which means exact softmax "
                "attention: cost grows with the square of the length. Set attention_type to 'nystrom' for Nyström "
                "attention, or to 'softmax' to confirm"
            )
        return Sight(valid=valid), 0.0


class TFNystromformerModel(TFNystromformerPreTrainedModel, output=TFNystromformerModelOutput):
    """Nyströmformer without a task head."""


class TFNystromformerForMaskedLM(MaskedLM, TFNystromformerPreTrainedModel, output=TFNystromformerHeadOutput):
    """Nyströmformer that predicts masked tokens."""


class TFNystromformerForSequenceClassification(
    SequenceClassification, TFNystromformerPreTrainedModel, output=TFNystromformerHeadOutput
):
    """Nyströmformer that classifies documents, or scores them, by each row's first valid token."""


class TFNystromformerForTokenClassification(
    TokenClassification, TFNystromformerPreTrainedModel, output=TFNystromformerHeadOutput
):
    """Nyströmformer that classifies tokens."""


class TFNystromformerForMultipleChoice(
    MultipleChoice, TFNystromformerPreTrainedModel, output=TFNystromformerHeadOutput
):
    """Nyströmformer that scores choices."""


class TFNystromformerForQuestionAnswering(
    QuestionAnswering, TFNystromformerPreTrainedModel, output=TFNystromformerHeadOutput
):
    """Nyströmformer that finds an answer's first and last token."""
