"""The task heads of Nyströmformer that predict something for a row, from its first valid token."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import MultipleChoiceModelOutput, SequenceClassifierOutput

from ..heads import TaskModel, flatten_choices
from ..layers import activation
from ..losses import classification_loss, cross_entropy
from ..segments import merge_padding, take_first
from .configuration import NystromformerConfig
from .modeling import NystromformerModel, NystromformerPreTrainedModel


class _ClassificationHead(nn.Module):
    """Dropout, dense, activation, dropout, projection to the labels."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = activation(config.hidden_act)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, first: Tensor) -> Tensor:
        return self.out_proj(self.dropout(self.activation(self.dense(self.dropout(first)))))


class NystromformerForSequenceClassification(TaskModel, NystromformerPreTrainedModel):
    """Nyströmformer with a classification or regression head on each row's first valid token."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.nystromformer = NystromformerModel(config)
        self.classifier = _ClassificationHead(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        num_items_in_batch: Tensor | int | None = None,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Scores (B, num_labels) of every row.

        Args:
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, output_attentions,
                output_hidden_states, return_dict: as in :meth:`NystromformerModel.forward`.
            labels: (B,) class ids, (B, num_labels) multi-label targets, or numbers for a regression
                (``config.problem_type``).
            num_items_in_batch: number of targets to divide the loss by, where a trainer counts them.
        """

        def predict(outputs: Any) -> dict[str, Tensor]:
            first = take_first(outputs.last_hidden_state, merge_padding(None, attention_mask))
            return {"logits": self.classifier(first)}

        def loss(made: dict[str, Tensor]) -> Tensor:
            assert labels is not None
            return classification_loss(made["logits"], labels, self.config, num_items_in_batch)

        return self._run(
            {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": token_type_ids,
                "position_ids": position_ids,
                "inputs_embeds": inputs_embeds,
                "output_attentions": output_attentions,
                "output_hidden_states": output_hidden_states,
            },
            predict,
            None if labels is None else loss,
            SequenceClassifierOutput,
            return_dict,
        )


class NystromformerForMultipleChoice(TaskModel, NystromformerPreTrainedModel):
    """Nyströmformer that scores each choice by the first valid token of its row."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        self.nystromformer = NystromformerModel(config)
        self.pre_classifier = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MultipleChoiceModelOutput | tuple[Any, ...]:
        """Scores (B, choices).

        Args:
            input_ids, attention_mask, token_type_ids, position_ids: (B, choices, N).
            inputs_embeds: (B, choices, N, d).
            labels: (B,) index of the right choice; -100 is no target.
            output_attentions, output_hidden_states, return_dict: as in :meth:`NystromformerModel.forward`; what they
                return has B * choices rows.
            num_items_in_batch: number of targets to divide the loss by, where a trainer counts them.
        """
        given = input_ids if input_ids is not None else inputs_embeds
        axes = 3 if input_ids is not None else 4
        if given is not None and given.dim() != axes:
            name = "input_ids" if input_ids is not None else "inputs_embeds"
            raise ValueError(f"{name} of multiple choice must begin (batch, choices, tokens), got {tuple(given.shape)}")
        choices = 1 if given is None else given.shape[1]
        mask = flatten_choices(attention_mask)

        def predict(outputs: Any) -> dict[str, Tensor]:
            first = take_first(outputs.last_hidden_state, merge_padding(None, mask))
            scores = self.classifier(F.relu(self.pre_classifier(first)))
            return {"logits": scores.view(-1, choices)}

        def loss(made: dict[str, Tensor]) -> Tensor:
            assert labels is not None
            return cross_entropy(made["logits"], labels, num_items_in_batch)

        return self._run(
            {
                "input_ids": flatten_choices(input_ids),
                "attention_mask": mask,
                "token_type_ids": flatten_choices(token_type_ids),
                "position_ids": flatten_choices(position_ids),
                "inputs_embeds": flatten_choices(inputs_embeds),
                "output_attentions": output_attentions,
                "output_hidden_states": output_hidden_states,
            },
            predict,
            None if labels is None else loss,
            MultipleChoiceModelOutput,
            return_dict,
        )
