"""The task heads of Longformer that predict something for a row, from its first valid token.

Parameters, order and defaults of each ``forward`` are those that users of the family know; ``num_items_in_batch`` is
longspan's, by keyword only. An unknown keyword raises TypeError.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..checks import check_choices
from ..heads import flatten_choices
from ..losses import classification_loss, cross_entropy
from ..segments import merge_padding, take_first
from .configuration import LongformerConfig
from .modeling import LongformerModel
from .outputs import LongformerMultipleChoiceModelOutput, LongformerSequenceClassifierOutput
from .task import LongformerTask


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


class LongformerForSequenceClassification(LongformerTask):
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


class LongformerForMultipleChoice(LongformerTask):
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
