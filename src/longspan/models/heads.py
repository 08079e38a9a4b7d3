"""What the task heads of both families share: how a head runs its backbone and packs its outputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers.utils import ModelOutput


class TaskModel:
    """Mixin of the task heads, beside a ``PreTrainedModel`` whose base model is its backbone."""

    # Trainer passes num_items_in_batch, and stops dividing the loss by its accumulation steps
    accepts_loss_kwargs = True
    base_model: Any
    config: Any

    def _run(
        self,
        inputs: dict[str, Any],
        predict: Callable[[Any], dict[str, Tensor]],
        loss: Callable[[dict[str, Tensor]], Tensor] | None,
        output_class: type[ModelOutput],
        return_dict: bool | None,
    ) -> Any:
        """Backbone, predictions, loss; packed as ``output_class`` or as its tuple.

        Args:
            inputs: keyword arguments of the backbone.
            predict: from the backbone's outputs to the named predictions.
            loss: from the predictions to the loss, or None without labels.
            output_class: what to return.
            return_dict: False for a tuple without the fields that are None; None for the configuration's choice.
        """
        outputs = self.base_model(**inputs, return_dict=True)
        predictions = predict(outputs)
        rest = {name: value for name, value in outputs.items() if name in _PASSED_ON}
        packed = output_class(loss=None if loss is None else loss(predictions), **predictions, **rest)
        if return_dict is None:
            return_dict = self.config.return_dict
        return packed if return_dict else packed.to_tuple()


_PASSED_ON = ("hidden_states", "attentions", "global_attentions")


def decoder_bias(decoder: nn.Linear, config: Any) -> nn.Parameter:
    """The bias that a masked-LM head keeps beside its decoder's under a second name: the same when they are tied."""
    if config.tie_word_embeddings or decoder.bias is None:
        return decoder.bias
    # of its own: a shared one would be saved once, and be missing when the model is loaded
    return nn.Parameter(decoder.bias.detach().clone())


def labels_or_alias(labels: Tensor | None, masked_lm_labels: Tensor | None) -> Tensor | None:
    """The labels of a masked-LM head; ``masked_lm_labels`` is their old name, and wins."""
    if masked_lm_labels is None:
        return labels
    warnings.warn("masked_lm_labels is deprecated, use labels", FutureWarning, stacklevel=3)
    return masked_lm_labels


def flatten_choices(x: Tensor | None) -> Tensor | None:
    """(B, choices, N, ...) as (B * choices, N, ...); rows without an axis of choices stay as they are."""
    return x if x is None or x.dim() <= 2 else x.flatten(0, 1)
