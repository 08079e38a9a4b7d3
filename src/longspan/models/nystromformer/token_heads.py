"""The task heads of Nyströmformer that predict something for every token."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.modeling_outputs import MaskedLMOutput, QuestionAnsweringModelOutput, TokenClassifierOutput

from ..heads import TaskModel, decoder_bias, kept_tokens, takes_masked_lm_labels
from ..layers import activation
from ..losses import cross_entropy, span_loss, token_classification_loss
from ..segments import merge_padding
from .configuration import NystromformerConfig
from .modeling import NystromformerModel, NystromformerPreTrainedModel


class _Transform(nn.Module):
    """``LayerNorm(act(W x))`` before the masked-LM decoder."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.LayerNorm(self.activation(self.dense(hidden_states)))


class _Predictions(nn.Module):
    """Scores over the vocabulary. ``bias`` is a second name of the decoder's bias in the checkpoints."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__()
        self.transform = _Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states = self.transform(hidden_states)
        if self.bias is not self.decoder.bias:  # not tied: it scores nothing, but stays part of the graph
            hidden_states = hidden_states + self.bias[:0].sum()
        return self.decoder(hidden_states)


class _MaskedLMHead(nn.Module):
    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__()
        self.predictions = _Predictions(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.predictions(hidden_states)


class NystromformerForMaskedLM(TaskModel, NystromformerPreTrainedModel):
    """Nyströmformer with a masked language modelling head."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "cls.predictions.decoder.weight": "nystromformer.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        self.nystromformer = NystromformerModel(config)
        self.cls = _MaskedLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.cls.predictions.decoder = new_embeddings
        self.cls.predictions.bias = decoder_bias(new_embeddings, self.config)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, _Predictions):  # a checkpoint without a head leaves its memory as it was
            initialization.zeros_(module.bias)

    @takes_masked_lm_labels
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
        segment_ids: Tensor | None = None,
        logits_to_keep: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """Scores (B, N, vocab_size) of every token.

        Args:
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, output_attentions,
                output_hidden_states, return_dict, segment_ids: as in :meth:`NystromformerModel.forward`.
            labels: (B, N) ids of the right tokens; -100 where nothing is predicted.
            logits_to_keep: (B, N) bool, the tokens to predict: scores are then (T, vocab_size), of those T tokens in
                their order, and the loss is theirs. A step of training predicts one token in seven: the others' scores
                would cost more than a small encoder.
            num_items_in_batch: number of targets to divide the loss by, where a trainer counts them.

        ``masked_lm_labels`` is the old name of ``labels``.
        """
        targets = kept_tokens(labels, logits_to_keep)
        return self._run(
            {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": token_type_ids,
                "position_ids": position_ids,
                "inputs_embeds": inputs_embeds,
                "output_attentions": output_attentions,
                "output_hidden_states": output_hidden_states,
                "segment_ids": segment_ids,
            },
            lambda outputs: {"logits": self.cls(kept_tokens(outputs.last_hidden_state, logits_to_keep))},
            None if targets is None else lambda made: cross_entropy(made["logits"], targets, num_items_in_batch),
            MaskedLMOutput,
            return_dict,
        )


class NystromformerForTokenClassification(TaskModel, NystromformerPreTrainedModel):
    """Nyströmformer with a label for every token."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.nystromformer = NystromformerModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
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
        segment_ids: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> TokenClassifierOutput | tuple[Any, ...]:
        """Scores (B, N, num_labels) of every token.

        Args:
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, output_attentions,
                output_hidden_states, return_dict, segment_ids: as in :meth:`NystromformerModel.forward`.
            labels: (B, N) class ids, -100 where there is no target; (B, N, num_labels) 0 or 1 when
                ``config.problem_type`` is multi-label.
            num_items_in_batch: number of targets to divide the loss by, where a trainer counts them.
        """

        def loss(made: dict[str, Tensor]) -> Tensor:
            assert labels is not None
            return token_classification_loss(made["logits"], labels, self.config, num_items_in_batch)

        return self._run(
            {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": token_type_ids,
                "position_ids": position_ids,
                "inputs_embeds": inputs_embeds,
                "output_attentions": output_attentions,
                "output_hidden_states": output_hidden_states,
                "segment_ids": segment_ids,
            },
            lambda outputs: {"logits": self.classifier(self.dropout(outputs.last_hidden_state))},
            None if labels is None else loss,
            TokenClassifierOutput,
            return_dict,
        )


class NystromformerForQuestionAnswering(TaskModel, NystromformerPreTrainedModel):
    """Nyströmformer that scores every token as the first and as the last of the answer."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        self.nystromformer = NystromformerModel(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
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
    ) -> QuestionAnsweringModelOutput | tuple[Any, ...]:
        """Scores (B, N) of the answer's first and of its last token.

        Args:
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, output_attentions,
                output_hidden_states, return_dict, segment_ids: as in :meth:`NystromformerModel.forward`.
            start_positions, end_positions: (B,) token indices; one outside the text is no target.
            num_items_in_batch: accepted from trainers; the loss is a mean over the rows.
        """

        def predict(outputs: Any) -> dict[str, Tensor]:
            start, end = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
            return {"start_logits": start, "end_logits": end}

        def loss(made: dict[str, Tensor]) -> Tensor:
            assert start_positions is not None and end_positions is not None
            start, end = made["start_logits"], made["end_logits"]
            ids = merge_padding(segment_ids, attention_mask)
            if ids is None:
                return span_loss(start, end, start_positions, end_positions, None)
            # padding is no answer, so it takes no probability either
            start, end = (x.masked_fill(ids < 0, torch.finfo(x.dtype).min) for x in (start, end))
            return span_loss(start, end, start_positions, end_positions, ids >= 0)

        return self._run(
            {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": token_type_ids,
                "position_ids": position_ids,
                "inputs_embeds": inputs_embeds,
                "output_attentions": output_attentions,
                "output_hidden_states": output_hidden_states,
                "segment_ids": segment_ids,
            },
            predict,
            None if start_positions is None or end_positions is None else loss,
            QuestionAnsweringModelOutput,
            return_dict,
        )
