"""What a training step minimises: the loss of the next characters, in rows of the stage's length from anywhere."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from longspan.charlm.settings import Settings
from longspan.charlm.texts import VOCABULARY, Text
from longspan.models.longformer import LongformerConfig, LongformerForCausalLM
from longspan.train.loop import Trainer
from longspan.train.muon import build_optimizers


def build_model(settings: Settings) -> LongformerForCausalLM:
    """A new model with the windows of the last stage.

    Raises:
        ValueError: there is no model of such sizes, windows or dilations; the message names the field.
    """
    model = LongformerForCausalLM(
        LongformerConfig(
            causal=True,
            vocab_size=VOCABULARY,
            hidden_size=settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=settings.hidden,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=0.0,
            attention_window=settings.stages[-1].window,
            dilation=settings.dilation,
            layer_norm_eps=1e-5,
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
            sep_token_id=None,
        )
    )
    for stage in settings.stages:
        model.set_attention_window(stage.window)
    return model


class NextCharacters(nn.Module):
    """Cross entropy of the characters of a step's rows, in nats; seed and step decide where in the text they begin.

    Args:
        model: trained; each step sets its windows to the stage's.
        text: of the training part.
        settings: with the stages.
        seed: of the places.

    Raises:
        ValueError: the text is shorter than a stage's rows.
    """

    def __init__(self, model: LongformerForCausalLM, text: Text, settings: Settings, seed: int) -> None:
        super().__init__()
        self.model, self.text, self.settings, self.seed = model, text, settings, seed
        longest = max(stage.length for stage in settings.stages)
        if longest >= len(text):
            raise ValueError(
                f"length of a stage must be below the {len(text):,} characters of the training part, got {longest:,}"
            )

    def forward(self, step: int) -> Tensor:
        """Mean loss of step ``step``."""
        stage = self.settings.stages[self.settings.stage_at(step)[0]]
        if self.model.config.attention_window != stage.window:
            self.model.set_attention_window(stage.window)
        places = np.random.default_rng((self.seed, step)).integers(0, len(self.text) - stage.length, stage.batch)
        rows = np.stack([self.text[place : place + stage.length + 1] for place in places]).astype(np.int64)
        ids = torch.from_numpy(rows).to(self.model.device)
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.settings.bf16):
            logits = self.model(ids[:, :-1]).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


class StagedTrainer(Trainer):
    """The training loop with the rates of the stages."""

    objective: NextCharacters

    def rate(self) -> float:
        """Factor of all learning rates in the step that is next."""
        return self.objective.settings.rate(self.step)


def make_optimizers(model: nn.Module, settings: Settings) -> list[torch.optim.Optimizer]:
    """The optimizers at the rate of the first stage; embeddings, biases and norms are not decayed."""
    lr = settings.stages[0].lr
    if settings.optimizer == "muon":
        return build_optimizers(
            model, lr_matrix=lr, lr_embedding=0.4 * lr, lr_other=0.4 * lr, weight_decay=settings.weight_decay
        )
    named = dict(model.named_parameters())
    decayed = [p for name, p in named.items() if p.ndim > 1 and "embeddings." not in name]
    others = [p for name, p in named.items() if p.ndim < 2 or "embeddings." in name]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [torch.optim.AdamW(groups, lr=lr)]
