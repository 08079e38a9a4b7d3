"""The outputs of a checkpoint's head belong to labels by their names, not by their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def label_names(config: Mapping[str, Any]) -> list[str]:
    """The labels of a config.json in the order of the outputs; "0", "1", ... where nobody named them."""
    names = config.get("id2label") or {number: str(number) for number in range(config.get("num_labels", 2))}
    return [str(names[number]).removeprefix("LABEL_") for number in sorted(names, key=int)]


def match_labels(model: Any, before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Give each label the output that it had, or where the labels are other ones, all of them new outputs.

    Args:
        model: with a ``classifier``, changed in place.
        before: labels of the outputs as they were trained, as :func:`label_names` gives them.
        after: labels that the outputs are to have, as many.

    Returns:
        Names of the weights that are new.
    """
    import torch

    if list(before) == list(after):
        return []
    inner = getattr(model.classifier, "out_proj", None)
    name, layer = ("classifier", model.classifier) if inner is None else ("classifier.out_proj", inner)
    with torch.no_grad():
        if sorted(before) == sorted(after):
            places = torch.tensor([before.index(label) for label in after])
            layer.weight.copy_(layer.weight[places])
            layer.bias.copy_(layer.bias[places])
            return []
        layer.weight.normal_(0.0, model.config.initializer_range)
        layer.bias.zero_()
    return [f"{name}.weight", f"{name}.bias"]
