"""What the task heads of both families share: how a head runs its backbone and packs its outputs."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

Forward = TypeVar("Forward", bound=Callable[..., Any])


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


@overload
def kept_tokens(x: Tensor, keep: Tensor | None) -> Tensor: ...
@overload
def kept_tokens(x: None, keep: Tensor | None) -> None: ...
def kept_tokens(x: Tensor | None, keep: Tensor | None) -> Tensor | None:
    """Those of x (B, N, ...) that ``keep`` (B, N) names, (T, ...); all of them where it is None.

    Raises:
        TypeError: ``keep`` is no tensor of bool.
        ValueError: it is of another batch.
    """
    if x is None or keep is None:
        return x
    if not isinstance(keep, Tensor) or keep.dtype != torch.bool:
        found = keep.dtype if isinstance(keep, Tensor) else type(keep).__name__
        raise TypeError(f"logits_to_keep must be a tensor of torch.bool, got {found}")
    if keep.shape != x.shape[:2]:
        raise ValueError(
            f"logits_to_keep must be of shape {tuple(x.shape[:2])}, one for each token, got {tuple(keep.shape)}"
        )
    return x[keep.to(x.device)]


def takes_masked_lm_labels(forward: Forward) -> Forward:
    """Lets a masked-LM ``forward`` take ``masked_lm_labels``, the old name of ``labels``, which wins.

    It is no parameter of its signature, where Trainer looks for the labels that it needs to evaluate.
    """
    signature = inspect.signature(forward)

    @functools.wraps(forward)
    def renamed(*args: Any, masked_lm_labels: Tensor | None = None, **kwargs: Any) -> Any:
        if masked_lm_labels is None:
            return forward(*args, **kwargs)
        warnings.warn("masked_lm_labels is deprecated, use labels", FutureWarning, stacklevel=2)
        given = signature.bind(*args, **kwargs)
        given.arguments["labels"] = masked_lm_labels
        return forward(*given.args, **given.kwargs)

    return cast(Forward, renamed)


def flatten_choices(x: Tensor | None) -> Tensor | None:
    """(B, choices, N, ...) as (B * choices, N, ...); rows without an axis of choices stay as they are."""
    # what is no tensor is the backbone's to refuse
    return x.flatten(0, 1) if isinstance(x, Tensor) and x.dim() > 2 else x
