"""Training by ``compile(optimizer)`` and ``fit``: the task's own loss, of labels in ``y`` or in ``x``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from .arguments import TakesArguments


class TrainedByTask(TakesArguments):
    """A model whose loss is its task's, unless another one is compiled. ``task_loss`` is of the heads."""

    # of a head: the outputs that its labels are targets of
    score_names: ClassVar[tuple[str, ...]] = ("logits",)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The task's own loss of labels in ``y`` or in ``x``, or the one that was compiled, of the logits."""
        if not self.label_names:
            if self._compile_loss is None and not self.losses:  # Keras does not say so on JAX
                raise ValueError(f"{type(self).__name__} has no loss of its own: give compile a loss")
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        labels, scores = self.labels_of(x, y), self.scores_of(y_pred)
        if self._compile_loss is not None:
            return super().compute_loss(x, _single(labels), _single(scores), sample_weight, training)
        if sample_weight is not None:
            raise ValueError("sample_weight cannot weigh the task's own loss; compile with a loss of Keras")
        if y is None and "loss" in y_pred:
            return y_pred["loss"]
        if not labels:
            raise ValueError(f"there are no labels: give y, or {' and '.join(self.label_names)} in x")
        return self.task_loss(scores, labels, self.inputs_of(x))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Metrics see the logits; ``weighted_metrics`` leave out the labels -100."""
        if not self.label_names:
            return super().compute_metrics(x, y, y_pred, sample_weight)
        labels, scores = self.labels_of(x, y), self.scores_of(y_pred)
        # an id of a class for each prediction
        if sample_weight is None and len(labels) == 1 and len(labels[0].shape) == len(scores[0].shape) - 1:
            sample_weight = ops.cast(labels[0] != -100, "float32")
        return super().compute_metrics(x, _single(labels), _single(scores), sample_weight)

    def predict_step(self, *args: Any) -> Any:
        """As of Keras, without the loss: labels among the inputs have no place in predictions."""
        *state, data = args
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, Mapping):
            x = {name: value for name, value in x.items() if name not in self.label_names}
        return super().predict_step(*state, (x,))

    def labels_of(self, x: Any, y: Any) -> list[Any]:
        """The labels in the order of ``label_names``, of ``y`` or else of ``x``; empty where there are none."""
        names = self.label_names
        found = y if y is not None else x if isinstance(x, Mapping) else {}
        if not isinstance(found, Mapping):
            parts = [found] if len(names) == 1 else found
            if not isinstance(parts, list | tuple) or len(parts) != len(names):
                raise ValueError(f"y must be a dictionary or a pair of {' and '.join(names)}, got {type(y).__name__}")
            found = dict(zip(names, parts, strict=True))
        return [self.as_tensor(name, found[name]) for name in names] if found.keys() >= set(names) else []

    def scores_of(self, outputs: Any) -> list[Any]:
        """The scores among outputs, in the order of ``score_names``."""
        if not isinstance(outputs, Mapping):
            raise ValueError("fit and evaluate need a model with return_dict=True in its configuration, got False")
        return [outputs[name] for name in self.score_names]


def _single(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else parts or None
