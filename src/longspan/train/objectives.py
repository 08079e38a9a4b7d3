"""What a training step of the contract model minimises: a module that a step's number makes into a loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from longspan.tasks.logits import NO_TARGET
from longspan.train.crops import CropSampler


class HiddenTokens(nn.Module):
    """Masked-language modelling: `model`, a `LongformerForMaskedLM`, guesses the hidden tokens of crops."""

    def __init__(self, model: Any, sampler: CropSampler) -> None:
        super().__init__()
        self.model, self.sampler = model, sampler

    def forward(self, step: int) -> Tensor:
        """Mean cross entropy of the hidden tokens of batch `step`."""
        batch = self.sampler.draw(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = _read(self.model.longformer, torch.from_numpy(batch.ids), torch.from_numpy(batch.valid))
            return _guess(self.model.lm_head, states, torch.from_numpy(batch.hidden))


class PassageLabels(nn.Module):
    """Labels of tokens, and on the side the hidden tokens: to guess them takes more than to remember contracts."""

    column_weights: Tensor
    positive: Tensor

    def __init__(
        self,
        model: Any,
        sampler: CropSampler,
        column_weights: Tensor,
        positive: Tensor,
        lm_head: nn.Module | None = None,
        guesses: float = 0.0,
    ) -> None:
        """`model` is a `LongformerForTokenClassification` with C labels.

        column_weights: (C,) weights of the labels in the loss. positive: (C,) further weights of positive labels.
        lm_head: head for hidden tokens, its decoder tied to the model's embeddings. guesses: weight of its loss.
        """
        super().__init__()
        self.model, self.sampler, self.lm_head, self.guesses = model, sampler, lm_head, guesses
        self.register_buffer("column_weights", column_weights, persistent=False)
        self.register_buffer("positive", positive, persistent=False)

    def forward(self, step: int) -> Tensor:
        """Binary cross entropies of batch `step`, summed over labels, averaged over tokens."""
        batch = self.sampler.draw(step)
        valid = torch.from_numpy(batch.valid)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = _read(self.model.longformer, torch.from_numpy(batch.ids), valid)
            logits = self.model.classifier(self.model.dropout(states))
            guessed = None
            if self.lm_head is not None:
                guessed = _guess(self.lm_head, states, torch.from_numpy(batch.hidden))
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), torch.from_numpy(batch.labels), pos_weight=self.positive, reduction="none"
        )
        loss = (losses * self.column_weights * valid[..., None]).sum() / valid.sum()
        return loss if guessed is None else loss + self.guesses * guessed


def _read(encoder: Any, ids: Tensor, valid: Tensor) -> Tensor:
    """Hidden states (B, L, d) of crops, whose positions begin anywhere in the period."""
    period = encoder.config.position_period
    shift = int(torch.randint(period, ()))
    positions = (encoder.config.position_offset + (shift + torch.arange(ids.shape[1])) % period).expand_as(ids)
    return encoder(input_ids=ids, attention_mask=valid.long(), position_ids=positions).last_hidden_state


def _guess(lm_head: nn.Module, states: Tensor, hidden: Tensor) -> Tensor:
    # Only where there is a target: the vocabulary is forty times wider than the model.
    places = hidden != NO_TARGET
    losses = nn.functional.cross_entropy(lm_head(states[places]).float(), hidden[places], reduction="sum")
    return losses / places.sum().clamp(min=1)
