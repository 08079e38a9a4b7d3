"""Longformer (Beltagy et al., arXiv 2004.05150) on TensorFlow, JAX or torch, in one source.

Shapes: B batch, N tokens, H heads, d hidden size, G slots for global tokens, R reach: tokens seen on each side.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from . import outputs
from .configuration import LongformerConfig
from .heads import MaskedLM, MultipleChoice, QuestionAnswering, SequenceClassification, TokenClassification
from .layers import EncoderLayer, Sight, first_true, join_heads, read, refuse, split_heads, take_rows, warn_once
from .models import PreTrainedModel
from .window import choose_slots, global_rows, window_attention


class LongformerLayer(EncoderLayer):
    """Window and global attention of Longformer, section 3.1."""

    projections = (*EncoderLayer.projections, "query_global", "key_global", "value_global")

    def __init__(self, config: Any, index: int, dtype: Any) -> None:
        super().__init__(config, index, dtype)
        self.drop_probabilities = keras.layers.Dropout(config.attention_probs_dropout_prob, dtype=dtype)
        self.seed = keras.random.SeedGenerator()

    def attend(self, hidden: Any, sight: Sight, training: bool) -> tuple[Any, Any]:
        valid, is_global, taken, with_maps = sight.valid, sight.is_global, sight.taken, sight.with_maps
        local = ops.logical_and(valid, ops.logical_not(is_global))
        query, key, value = (split_heads(x(hidden), self.heads) for x in (self.query, self.key, self.value))
        chosen = take_rows(hidden, sight.columns)
        remote = (*(split_heads(x(chosen), self.heads) for x in (self.key, self.value)), taken)
        reach, rate = self.config.windows[self.index] // 2, self.config.attention_probs_dropout_prob
        query, rate = query * query.shape[-1] ** -0.5, rate if training else 0.0
        context, near = window_attention(query, key, value, local, remote, reach, rate, self.seed, with_maps)
        layers, drop = (self.query_global, self.key_global, self.value_global), self.drop_probabilities
        rows, far = global_rows(hidden, chosen, layers, valid, self.heads, lambda x: drop(x, training=training))
        # each global token finds its row by its rank among them
        rank = ops.clip(ops.cumsum(ops.cast(is_global, "int32"), axis=1) - 1, 0, ops.shape(taken)[1] - 1)
        context = ops.where(is_global[:, :, None], take_rows(join_heads(rows), rank), join_heads(context))
        context = ops.where(valid[:, :, None], context, ops.zeros_like(context))
        weights = sight.head_mask
        if weights is not None:
            weights = weights[self.index]
            context = context * ops.repeat(weights, context.shape[-1] // self.heads)
        if not with_maps:
            return context, None
        far = ops.swapaxes(ops.where(taken[:, None, :, None], far, 0.0), 2, 3)
        maps = ops.where(local[:, None, :, None], near, 0.0), far
        if weights is not None:
            maps = tuple(x * ops.cast(weights, x.dtype)[:, None, None] for x in maps)
        return context, maps


class TFLongformerPreTrainedModel(PreTrainedModel):
    """Base of the Longformer classes.

    Args:
        config: a configuration of this package or of ``longspan``, or the dictionary of one.
        max_global_tokens: slots for a row's global tokens. More than that are refused: with a ValueError, in a
            TensorFlow graph with an InvalidArgumentError, and where a compiled program cannot raise (XLA, JAX's jit),
            the row's outputs are NaN.
        name, dtype, trainable: as of every Keras model; ``dtype`` may be a policy, such as "mixed_bfloat16".
    """

    config_class = LongformerConfig
    layer_class = LongformerLayer
    mask_values = 3
    options = ("max_global_tokens",)
    mlm_keys = ("lm_head", "lm_head-dense", "lm_head-layer_norm")
    choice_key = None
    activations = ("gelu", "tanh")
    masks_padding = False

    def __init__(self, config: Any, max_global_tokens: int = 64, **kwargs: Any) -> None:
        if max_global_tokens < 1:
            raise ValueError(f"max_global_tokens must be at least 1, got {max_global_tokens}")
        super().__init__(config, **kwargs)
        self.max_global_tokens = max_global_tokens

    def places(self, inputs: dict[str, Any], valid: Any) -> Any:
        ids, padding = inputs["input_ids"], self.config.pad_token_id
        counted = ops.ones_like(valid) if ids is None or padding is None else ids != padding
        return ops.where(counted, ops.cumsum(ops.cast(counted, "int32"), axis=1) - 1, -1)

    def look(self, inputs: dict[str, Any], valid: Any) -> tuple[Sight, Any]:
        mask, marks, weights = (inputs[x] for x in ("attention_mask", "global_attention_mask", "head_mask"))
        is_global = self.default_mask(inputs, valid) if marks is None else marks != 0
        if mask is not None:
            is_global = ops.logical_or(is_global, mask == 2)
        is_global = ops.logical_and(is_global, valid)
        count = ops.sum(ops.cast(is_global, "int32"), axis=1)
        fault = refuse(
            count > self.max_global_tokens,
            f"a row has more global tokens than max_global_tokens={self.max_global_tokens}; make the model, or load "
            "it, with a larger max_global_tokens",
        )
        known, used = read(count), self.max_global_tokens
        if known is not None:
            used = int(known.max(initial=0))
        elif mask is None and marks is None and self.default_global is None:
            used = 0
        # without a global token one slot keeps the global projections in the graph, with zero gradients
        columns, taken = choose_slots(is_global, max(used, 1))
        config = self.config
        shape = (config.num_hidden_layers, config.num_attention_heads)
        if weights is not None:
            if tuple(weights.shape) not in (shape, shape[1:]):
                raise ValueError(f"head_mask must be {shape[1:]} or {shape}, got {tuple(weights.shape)}")
            weights = ops.broadcast_to(weights, shape)
        return Sight(
            valid=valid, is_global=is_global, columns=columns, taken=taken, used=used, head_mask=weights
        ), fault

    def default_mask(self, inputs: dict[str, Any], valid: Any) -> Any:
        """The global mask (B, N) bool of a head that is given none, s being a row's first separator.

        "first" (classification): the first valid token. "question": tokens before s. "choice": tokens after ``s + 1``.
        The latter two: the first valid token only where there is no separator; none, with a warning, where there are
        no ids. Nothing more where a 2 anywhere in ``attention_mask`` makes that a whole global mask.
        """
        ids, mask, task = inputs["input_ids"], inputs["attention_mask"], self.default_global
        merged = False if mask is None else ops.any(mask == 2)
        if task is None or (ids is None and task != "first"):
            if task is not None and not (mask is not None and read(merged)):
                warn_once(
                    f"{type(self).__name__} cannot find separators in inputs_embeds: no token is global. Pass "
                    "global_attention_mask to choose them."
                )
            return ops.zeros_like(valid)
        column = ops.arange(ops.shape(valid)[1], dtype="int32")[None, :]
        chosen = column == first_true(valid)
        if task != "first" and self.config.sep_token_id is not None:
            separators = ops.logical_and(valid, ids == self.config.sep_token_id)
            s = first_true(separators)
            bounded = column < s if task == "question" else column > s + 1
            chosen = ops.where(ops.any(separators, axis=1, keepdims=True), bounded, chosen)
        return ops.logical_and(chosen, ops.logical_not(merged))

    def pack_maps(self, maps: list[Any], sight: Sight) -> dict[str, Any]:
        empty = ops.shape(sight.taken)[1] - sight.used  # the slot in place of no global token
        near, far = zip(*((a[..., empty:], b) for a, b in maps), strict=True)
        return {"attentions": near, "global_attentions": None if empty else far}


class TFLongformerModel(TFLongformerPreTrainedModel, output=outputs.TFLongformerBaseModelOutputWithPooling):
    """Longformer without a task head."""

    has_pooler = True


class TFLongformerForMaskedLM(MaskedLM, TFLongformerPreTrainedModel, output=outputs.TFLongformerMaskedLMOutput):
    """Longformer that predicts masked tokens. No token is global by default."""


class TFLongformerForSequenceClassification(
    SequenceClassification, TFLongformerPreTrainedModel, output=outputs.TFLongformerSequenceClassifierOutput
):
    """Longformer that classifies documents, or scores them. The first valid token is global by default."""


class TFLongformerForTokenClassification(
    TokenClassification, TFLongformerPreTrainedModel, output=outputs.TFLongformerTokenClassifierOutput
):
    """Longformer that classifies tokens. No token is global by default."""


class TFLongformerForMultipleChoice(
    MultipleChoice, TFLongformerPreTrainedModel, output=outputs.TFLongformerMultipleChoiceModelOutput
):
    """Longformer that scores choices. The tokens after the question are global by default."""

    has_pooler = True


class TFLongformerForQuestionAnswering(
    QuestionAnswering, TFLongformerPreTrainedModel, output=outputs.TFLongformerQuestionAnsweringModelOutput
):
    """Longformer that finds an answer's first and last token. The question is global by default."""
