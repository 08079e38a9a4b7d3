"""The task heads of Longformer.

Parameters, order and defaults of each ``forward`` are those that users of the family know; ``segment_ids`` and
``num_items_in_batch`` are longspan's, by keyword only. An unknown keyword raises TypeError.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization

from ..checks import can_read_values, check_choices, check_inputs, check_mask, check_rows
from ..heads import TaskModel, decoder_bias, flatten_choices, takes_masked_lm_labels
from ..losses import classification_loss, cross_entropy, span_loss, token_classification_loss
from ..segments import merge_padding, take_first
from .configuration import LongformerConfig
from .global_mask import Default, default_unless_merged
from .modeling import LongformerModel, LongformerPreTrainedModel
from .outputs import (
    LongformerMaskedLMOutput,
    LongformerMultipleChoiceModelOutput,
    LongformerQuestionAnsweringModelOutput,
    LongformerSequenceClassifierOutput,
    LongformerTokenClassifierOutput,
)

logger = logging.getLogger("longspan.longformer")
_noted: set[str] = set()


class _LongformerTask(TaskModel, LongformerPreTrainedModel):
    """A backbone and the default global mask of a task."""

    def _inputs(self, default: Default | None, segment_ids: Tensor | None, **inputs: Any) -> dict[str, Any]:
        """The backbone's arguments, with the task's default global mask where the caller gave none."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        given = check_inputs(ids, inputs["inputs_embeds"], self.config.hidden_size, self.config.vocab_size)
        check_mask("attention_mask", mask, given, 2)
        check_rows("segment_ids", segment_ids, given)
        if default is not None and inputs["global_attention_mask"] is None:
            if ids is None and default != "first":
                if not _holds_global(mask):
                    _note_once(
                        f"{type(self).__name__} cannot find separators in inputs_embeds: no token is global. "
                        "Pass global_attention_mask to choose them."
                    )
            else:
                inputs["global_attention_mask"] = default_unless_merged(
                    default,
                    mask,
                    merge_padding(segment_ids, mask),
                    ids,
                    self.config.sep_token_id,
                    (given.shape[0], given.shape[1]),
                    given.device,
                )
        return {**inputs, "segment_ids": segment_ids}


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


class LongformerForMaskedLM(_LongformerTask):
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
        num_items_in_batch: Tensor | int | None = None,
    ) -> LongformerMaskedLMOutput | tuple[Any, ...]:
        """Logits (B, N, vocab_size) and, with ``labels`` (B, N; -100 is no target), the cross entropy.

        The inputs are those of :class:`LongformerModel`. ``masked_lm_labels`` is the old name of ``labels``.
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
            lambda outputs: {"logits": self.lm_head(outputs.last_hidden_state)},
            None if labels is None else lambda out: cross_entropy(out["logits"], labels, num_items_in_batch),
            LongformerMaskedLMOutput,
            return_dict,
        )


class LongformerClassificationHead(nn.Module):
    """``W_out dropout(tanh(W dropout(h)))`` of each row's first valid token."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, d) to (B, num_labels)."""
        hidden_states = torch.tanh(self.dense(self.dropout(hidden_states)))
        return self.out_proj(self.dropout(hidden_states))


class LongformerForSequenceClassification(_LongformerTask):
    """Longformer that classifies documents, or scores them. The first valid token is global by default."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.longformer = LongformerModel(config, add_pooling_layer=False)
        self.classifier = LongformerClassificationHead(config)
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
        num_items_in_batch: Tensor | int | None = None,
    ) -> LongformerSequenceClassifierOutput | tuple[Any, ...]:
        """Logits (B, num_labels) and, with ``labels``, the loss of ``config.problem_type``.

        The inputs are those of :class:`LongformerModel`; labels are (B,) classes, (B, num_labels) multi-label targets
        or numbers for a regression.
        """
        inputs = self._inputs(
            "first",
            None,
            input_ids=input_ids,
            attention_mask=attention_mask,
            global_attention_mask=global_attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        visible = merge_padding(None, attention_mask)
        return self._run(
            inputs,
            lambda outputs: {"logits": self.classifier(take_first(outputs.last_hidden_state, visible))},
            None
            if labels is None
            else lambda out: classification_loss(out["logits"], labels, self.config, num_items_in_batch),
            LongformerSequenceClassifierOutput,
            return_dict,
        )


class LongformerForTokenClassification(_LongformerTask):
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


class LongformerForQuestionAnswering(_LongformerTask):
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


class LongformerForMultipleChoice(_LongformerTask):
    """Longformer that scores choices. The tokens after the question are global by default."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__(config)
        self.longformer = LongformerModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        num_items_in_batch: Tensor | int | None = None,
    ) -> LongformerMultipleChoiceModelOutput | tuple[Any, ...]:
        """Logits (B, choices) and, with ``labels`` (B,), their cross entropy.

        The inputs are those of :class:`LongformerModel` with an axis of choices after the batch, (B, choices, N).
        """
        choices = check_choices(input_ids, inputs_embeds)
        inputs = self._inputs(
            "choice",
            None,
            input_ids=flatten_choices(input_ids),
            attention_mask=flatten_choices(attention_mask),
            global_attention_mask=flatten_choices(global_attention_mask),
            token_type_ids=flatten_choices(token_type_ids),
            position_ids=flatten_choices(position_ids),
            inputs_embeds=flatten_choices(inputs_embeds),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return self._run(
            inputs,
            lambda outputs: {"logits": self.classifier(self.dropout(outputs.pooler_output)).view(-1, choices)},
            None if labels is None else lambda out: cross_entropy(out["logits"], labels, num_items_in_batch),
            LongformerMultipleChoiceModelOutput,
            return_dict,
        )


def _span_loss(
    positions: tuple[Tensor, Tensor],
    valid: Tensor | None,
    num_items_in_batch: Tensor | int | None,
    out: dict[str, Tensor],
) -> Tensor:
    return span_loss(out["start_logits"], out["end_logits"], *positions, valid, num_items_in_batch)


def _holds_global(attention_mask: Tensor | None) -> bool:
    return attention_mask is not None and can_read_values(attention_mask) and bool((attention_mask == 2).any())


def _note_once(message: str) -> None:
    if message not in _noted and not torch.compiler.is_compiling():
        _noted.add(message)
        logger.warning(message)
