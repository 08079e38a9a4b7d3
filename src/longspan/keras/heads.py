"""The five task heads over either family, and their losses: means over the targets, in float32, 0 without a target."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from .arguments import is_whole, valid_tokens
from .layers import ACTIVATIONS, NEVER, alike, linear, norm, refuse
from .models import PreTrainedModel, first_token

IGNORED = -100


class Head(PreTrainedModel):
    """A task head, to stand before a family's base."""

    label_names: ClassVar[tuple[str, ...]] = ("labels",)

    def activation(self, index: int, x: Any) -> Any:
        """The family's activation of masked LM (0) or of classification (1)."""
        return ACTIVATIONS[self.activations[index] if self.activations else self.config.hidden_act](x)

    def task_loss(self, scores: list[Any], labels: list[Any], inputs: dict[str, Any]) -> Any:
        return cross_entropy(scores[0], labels[0])


class TiedDecoder(keras.layers.Layer):
    """Scores of all words by the word embeddings, and a bias."""

    def __init__(self, key: str, words: int, dtype: Any) -> None:
        super().__init__(name=key, dtype=dtype)
        self.bias = self.add_weight(name="bias", shape=(words,), initializer="zeros")
        self.built = True

    def call(self, x: Any, embeddings: Any) -> Any:
        """(B, N, d) and (words, d) to (B, N, words)."""
        return ops.matmul(x, ops.transpose(embeddings)) + self.bias


class MaskedLM(Head):
    """Predicts masked tokens."""

    def make_head(self) -> None:
        key, dense, norm_key = self.mlm_keys
        words, self.tied = self.config.vocab_size, self.config.tie_word_embeddings
        self.dense, self.dense_norm = linear(self, dense), norm(self, norm_key)
        self.decoder = (
            TiedDecoder(key, words, self.dtype_policy) if self.tied else linear(self, f"{key}-decoder", words)
        )

    def score(self, outputs: dict[str, Any], inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        hidden = self.dense_norm(self.activation(0, self.dense(outputs["last_hidden_state"])))
        return {"logits": self.decoder(hidden, *([self.word.embeddings] if self.tied else []))}


class SequenceClassification(Head):
    """Classifies or scores a document, by its first valid token."""

    default_global = "first"

    def make_head(self) -> None:
        self.dense = linear(self, "classifier-dense")
        self.out = linear(self, "classifier-out_proj", self.config.num_labels)

    def score(self, outputs: dict[str, Any], inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        hidden = self.drop(first_token(outputs["last_hidden_state"], inputs), training=training)
        return {"logits": self.out(self.drop(self.activation(1, self.dense(hidden)), training=training))}

    def task_loss(self, scores: list[Any], labels: list[Any], inputs: dict[str, Any]) -> Any:
        problem = self.config.problem_type
        if problem is None:  # what labels and num_labels look like
            problem = "single_label_classification" if is_whole(labels[0]) else "multi_label_classification"
            problem = "regression" if self.config.num_labels == 1 else problem
        if problem not in LOSSES:
            raise ValueError(f"problem_type must be one of {', '.join(LOSSES)}, got {problem!r}")
        return LOSSES[problem](scores[0], labels[0])


class TokenClassification(Head):
    """Classifies tokens."""

    def make_head(self) -> None:
        self.out = linear(self, "classifier", self.config.num_labels)

    def score(self, outputs: dict[str, Any], inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        return {"logits": self.out(self.drop(outputs["last_hidden_state"], training=training))}

    def task_loss(self, scores: list[Any], labels: list[Any], inputs: dict[str, Any]) -> Any:
        several = self.config.problem_type == "multi_label_classification"
        return (binary_cross_entropy if several else cross_entropy)(scores[0], labels[0])


class MultipleChoice(Head):
    """Scores choices; its inputs have an axis of choices after the batch."""

    default_global = "choice"
    input_axes = 3

    def make_head(self) -> None:
        self.pre = linear(self, self.choice_key) if self.choice_key else None
        self.out = linear(self, "classifier", 1)

    def inputs_of(self, input_ids: Any = None, **given: Any) -> dict[str, Any]:
        inputs = super().inputs_of(input_ids, **given)
        inputs["choices"] = ops.shape(inputs["inputs_embeds" if inputs["input_ids"] is None else "input_ids"])[1]
        for name, x in inputs.items():
            if name != "head_mask" and len(getattr(x, "shape", ())) > 2:
                inputs[name] = ops.reshape(x, (-1, *ops.shape(x)[2:]))
        return inputs

    def score(self, outputs: dict[str, Any], inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        if self.pre is None:
            hidden = self.drop(outputs["pooler_output"], training=training)
        else:
            hidden = ops.relu(self.pre(first_token(outputs["last_hidden_state"], inputs)))
        return {"logits": ops.reshape(self.out(hidden), (-1, inputs["choices"]))}


class QuestionAnswering(Head):
    """Finds an answer's first and last token."""

    default_global = "question"
    label_names = ("start_positions", "end_positions")
    score_names = ("start_logits", "end_logits")

    def make_head(self) -> None:
        if self.config.num_labels != 2:
            raise ValueError(f"question answering has num_labels 2 (start and end), got {self.config.num_labels}")
        self.out = linear(self, "qa_outputs", 2)

    def score(self, outputs: dict[str, Any], inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        scores = self.out(outputs["last_hidden_state"])
        return {"start_logits": scores[..., 0], "end_logits": scores[..., 1]}

    def task_loss(self, scores: list[Any], labels: list[Any], inputs: dict[str, Any]) -> Any:
        valid, losses = valid_tokens(inputs), []
        for logits, positions in zip(scores, labels, strict=True):
            check_targets(positions, logits.shape[:1])
            positions = ops.reshape(positions, (-1, 1))
            at = ops.logical_and(positions == ops.arange(ops.shape(valid)[1], dtype="int32")[None, :], valid)
            logits = ops.cast(logits, "float32")
            logits = ops.where(valid, logits, NEVER) if self.masks_padding else logits
            losses.append(cross_entropy(logits, ops.where(ops.any(at, axis=1), positions[:, 0], IGNORED)))
        return (losses[0] + losses[1]) / 2


def _mean(losses: Any, targets: Any) -> Any:
    count = ops.maximum(ops.sum(ops.cast(targets, "float32")), 1.0)
    return ops.sum(ops.where(targets, losses, 0.0)) / count


def _alike(logits: Any, labels: Any) -> tuple[Any, Any]:
    if len(labels.shape) == len(logits.shape) - 1 and logits.shape[-1] == 1:
        labels = ops.expand_dims(labels, -1)
    if not alike(labels.shape, logits.shape):
        raise ValueError(f"labels must have the shape of the logits, {tuple(logits.shape)}, got {tuple(labels.shape)}")
    return ops.cast(logits, "float32"), ops.cast(labels, "float32")


def check_targets(labels: Any, shape: Any) -> None:
    """Refuse targets that are not one for each prediction; an axis of 1 at the end is no fault."""
    if not (alike(labels.shape, shape) or alike(labels.shape, (*shape, 1))):
        raise ValueError(f"the targets must have the shape {tuple(shape)}, got {tuple(labels.shape)}")


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Cross entropy of logits (..., C) against class ids (...); -100 is no target.

    Raises:
        TypeError: the labels are not whole numbers.
        ValueError: there are not as many labels, or one is neither a class nor -100; of the latter compiled programs
            tell as :func:`.layers.refuse` says.
    """
    if not is_whole(labels):
        raise TypeError(f"labels must be class ids of an integer dtype, got {labels.dtype}")
    check_targets(labels, logits.shape[:-1])
    classes = ops.shape(logits)[-1]
    logits = ops.reshape(ops.cast(logits, "float32"), (-1, classes))
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    targets = labels != IGNORED
    outside = ops.logical_and(targets, ops.logical_or(labels < 0, labels >= classes))
    fault = refuse(outside, f"labels must be classes from 0 to {classes - 1}, or {IGNORED} for none")
    chosen = ops.one_hot(ops.where(targets, labels, 0), classes)
    return _mean(ops.logsumexp(logits, axis=-1) - ops.sum(logits * chosen, axis=-1) + fault, targets)


def binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean over all (element, class) pairs of the binary cross entropy; a negative label is no target.

    Raises:
        ValueError: the labels do not have the shape of the logits.
    """
    logits, labels = _alike(logits, labels)
    return _mean(ops.softplus(logits) - logits * ops.maximum(labels, 0.0), labels >= 0)


def mean_squared_error(logits: Any, labels: Any) -> Any:
    """Mean squared error; NaN is no target.

    Raises:
        ValueError: the labels do not have the shape of the logits, of which the last axis may be missing if it is 1.
    """
    logits, labels = _alike(logits, labels)
    targets = ops.logical_not(ops.isnan(labels))
    return _mean(ops.square(logits - ops.where(targets, labels, 0.0)), targets)


LOSSES = {
    "regression": mean_squared_error,
    "single_label_classification": cross_entropy,
    "multi_label_classification": binary_cross_entropy,
}
