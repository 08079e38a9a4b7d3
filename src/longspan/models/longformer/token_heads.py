"""The task heads of Longformer that predict something for every token.

Parameters, order and defaults of each ``forward`` are those that users of the family know; ``segment_ids``,
``logits_to_keep`` and ``num_items_in_batch`` are longspan's, by keyword only. An unknown keyword raises TypeError.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization

from ..heads import decoder_bias, kept_tokens, takes_masked_lm_labels
from ..losses import cross_entropy, span_loss, token_classification_loss
from ..segments import merge_padding
from .configuration import LongformerConfig
from .modeling import LongformerModel
from .outputs import (
    LongformerMaskedLMOutput,
    LongformerQuestionAnsweringModelOutput,
    LongformerTokenClassifierOutput,
)
from .task import LongformerTask


class LongformerLMHead(nn.Module):
    """``W_decoder LayerNorm(gelu(W h))``, the decoder tied to the word embeddings."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, d) to (B, N, vocab_size)."""
        hidden_states = self.layer_norm(nn.functional.gelu(self.dense(hidden_states)))
        if self.bias is not self.decoder.bias:  # not tied: it scores nothing, but stays part of the graph
            hidden_states = hidden_states + self.bias[:0].sum()
        return self.decoder(hidden_states)


class LongformerForMaskedLM(LongformerTask):
    """Longformer that predicts masked tokens. No token is global by default."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "lm_head.decoder.weight": "longformer.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    }

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__(config)
        self.longformer = LongformerModel(config, add_pooling_layer=False)
        self.lm_head = LongformerLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """The decoder."""
        return self.lm_head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the decoder."""
        self.lm_head.decoder = new_embeddings
        self.lm_head.bias = decoder_bias(new_embeddings, self.config)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LongformerLMHead):  # a checkpoint without a head leaves its memory as it was
            initialization.zeros_(module.bias)

    @takes_masked_lm_labels
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        segment_ids: Tensor | None = None,
        logits_to_keep: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> LongformerMaskedLMOutput | tuple[Any, ...]:
        """Logits (B, N, vocab_size) and, with ``labels`` (B, N; -100 is no target), the cross entropy.

        ``logits_to_keep`` (B, N) bool names the tokens to predict: logits are then (T, vocab_size), of those T tokens
        in their order, and so is the loss. A step of training predicts one token in seven: the others' scores would
        cost more than a small encoder.

        The inputs are those of :class:`LongformerModel`. ``masked_lm_labels`` is the old name of ``labels``.
        """
        targets = kept_tokens(labels, logits_to_keep)
        inputs = self._inputs(
            None,
            segment_ids,
            input_ids=input_ids,
            attention_mask=attention_mask,
            global_attention_mask=global_attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return self._run(
            inputs,
            lambda outputs: {"logits": self.lm_head(kept_tokens(outputs.last_hidden_state, logits_to_keep))},
            None if targets is None else lambda out: cross_entropy(out["logits"], targets, num_items_in_batch),
            LongformerMaskedLMOutput,
            return_dict,
        )


class LongformerForTokenClassification(LongformerTask):
    """Longformer that classifies tokens. No token is global by default."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.longformer = LongformerModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        segment_ids: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> LongformerTokenClassifierOutput | tuple[Any, ...]:
        """Logits (B, N, num_labels) and, with ``labels``, the loss.

        The inputs are those of :class:`LongformerModel`; labels are (B, N) classes (-100 is no target) or, when
        ``config.problem_type`` is multi-label, (B, N, num_labels) with negative for no target.
        """
        inputs = self._inputs(
            None,
            segment_ids,
            input_ids=input_ids,
            attention_mask=attention_mask,
            global_attention_mask=global_attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return self._run(
            inputs,
            lambda outputs: {"logits": self.classifier(self.dropout(outputs.last_hidden_state))},
            None
            if labels is None
            else lambda out: token_classification_loss(out["logits"], labels, self.config, num_items_in_batch),
            LongformerTokenClassifierOutput,
            return_dict,
        )


class LongformerForQuestionAnswering(LongformerTask):
    """Longformer that finds an answer's first and last token. The question is global by default."""

    def __init__(self, config: LongformerConfig) -> None:
        if config.num_labels != 2:
            raise ValueError(f"question answering has num_labels 2 (start and end), got {config.num_labels}")
        super().__init__(config)
        self.num_labels = config.num_labels
        self.longformer = LongformerModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        segment_ids: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> LongformerQuestionAnsweringModelOutput | tuple[Any, ...]:
        """Start and end logits (B, N) and, with both positions (B,), the mean of their cross entropies.

        The inputs are those of :class:`LongformerModel`. A position outside the text is no target.
        """
        inputs = self._inputs(
            "question",
            segment_ids,
            input_ids=input_ids,
            attention_mask=attention_mask,
            global_attention_mask=global_attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        visible = merge_padding(segment_ids, attention_mask)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = partial(
                _span_loss,
                (start_positions, end_positions),
                None if visible is None else visible >= 0,
                num_items_in_batch,
            )
        return self._run(inputs, self._predict, loss, LongformerQuestionAnsweringModelOutput, return_dict)

    def _predict(self, outputs: Any) -> dict[str, Tensor]:
        start, end = self.qa_outputs(outputs.last_hidden_state).split(1, dim=-1)
        return {"start_logits": start.squeeze(-1).contiguous(), "end_logits": end.squeeze(-1).contiguous()}


def _span_loss(
    positions: tuple[Tensor, Tensor],
    valid: Tensor | None,
    num_items_in_batch: Tensor | int | None,
    out: dict[str, Tensor],
) -> Tensor:
    return span_loss(out["start_logits"], out["end_logits"], *positions, valid, num_items_in_batch)
