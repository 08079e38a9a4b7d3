"""Outputs of the Longformer classes, under the names and in the order that users of the family know."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class LongformerBaseModelOutput(ModelOutput):
    """Output of the encoder.

    Attributes:
        last_hidden_state: (B, N, d).
        hidden_states: with ``output_hidden_states``: (B, N, d) after the embeddings and after each layer.
        attentions: with ``output_attentions``: one (B, H, N, x + w + 1) a layer, x the largest number of global
            tokens in a row. The first x columns hold the weights to the row's global tokens, in order, the others
            those to the window, the token itself at ``x + w // 2``. The weight to a global token within the window
            stands in the first columns only; rows of global tokens are 0.
        global_attentions: with ``output_attentions`` and a global token: one (B, H, N, x) a layer, the weights of
            global token x over all tokens N; 0 where a row has fewer global tokens.
    """

    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None


@dataclass
class LongformerBaseModelOutputWithPooling(ModelOutput):
    """:class:`LongformerBaseModelOutput` with ``pooler_output`` (B, d), from each row's first valid token."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None


@dataclass
class LongformerMaskedLMOutput(ModelOutput):
    """``loss`` () and ``logits`` (B, N, vocab_size); the rest as in :class:`LongformerBaseModelOutput`."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None


@dataclass
class LongformerQuestionAnsweringModelOutput(ModelOutput):
    """``loss`` (), ``start_logits`` and ``end_logits`` (B, N); the rest as in :class:`LongformerBaseModelOutput`."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None


@dataclass
class LongformerSequenceClassifierOutput(ModelOutput):
    """``loss`` () and ``logits`` (B, num_labels); the rest as in :class:`LongformerBaseModelOutput`."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None


@dataclass
class LongformerMultipleChoiceModelOutput(ModelOutput):
    """``loss`` () and ``logits`` (B, choices); the rest, over B * choices rows, as in
    :class:`LongformerBaseModelOutput`."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None


@dataclass
class LongformerTokenClassifierOutput(ModelOutput):
    """``loss`` () and ``logits`` (B, N, num_labels); the rest as in :class:`LongformerBaseModelOutput`."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    global_attentions: tuple[Tensor, ...] | None = None
