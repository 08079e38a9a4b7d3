"""The class of a document of any length, its classes, or a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from longspan.predict.loading import Checkpoint
from longspan.predict.loop import BATCH_TOKENS, OnBatch, predict_examples
from longspan.predict.predictions import as_loaded
from longspan.tasks.examples import Source, TextExample
from longspan.tasks.registry import make_task


@dataclass(frozen=True)
class Classification:
    """What is said of a document.

    Attributes:
        labels: the likeliest class, or every class of a probability of at least 0.5 where there may be several.
        scores: the probability of each class.
        value: the number, where the model gives one; then there are no classes.
        windows: windows in which the document was read.
    """

    labels: tuple[str, ...]
    scores: dict[str, float]
    value: float | None
    windows: int


def classify(
    checkpoint: str | Path | Checkpoint,
    text: str,
    text_pair: str | None = None,
    *,
    device: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: OnBatch | None = None,
) -> Classification:
    """Say what a document is.

    A document that the model cannot read at once is read in overlapping windows that cover every token, also where the
    model was trained on the first window alone. The result is the mean of the windows' probabilities, or numbers; all
    windows have the same number of tokens, so that each counts the same.

    Args:
        checkpoint: folder or hub id of a classifier, or one that is loaded.
        text: a text of any length.
        text_pair: the second text, where the model reads two; the longer one is read in windows, the other one stands
            in each of them.
        device, max_length, stride: as in :func:`longspan.predict.load`; not for a loaded checkpoint.
        batch_tokens: tokens of one batch, padding included.
        on_batch: called with the number of windows after each batch.

    Raises:
        TypeError: a text is no string.
        ValueError: a text is blank, the model reads two texts and there is one or the other way round, the shorter one
            leaves no room for the other, or the checkpoint is for another task.
        OSError: a file of the checkpoint is missing.
    """
    for name, given in (("text", text), ("text_pair", "a" if text_pair is None else text_pair)):
        if not isinstance(given, str):
            raise TypeError(f"{name} must be a str, got {type(given).__name__}")
        if not given.strip():
            raise ValueError(f"{name} is blank")
    loaded = as_loaded(checkpoint, device, max_length, stride, task="classify")
    task = make_task("classify", {**loaded.task.options(), "truncate": False})
    example = TextExample("1", Source("text"), text, text_pair)
    found = predict_examples(task, loaded.model, [example], loaded.encoding, batch_tokens, on_batch)
    ((_, prediction),) = found
    label, windows = prediction["label"], prediction.get("windows", 1)
    if isinstance(label, float):
        return Classification((), {}, label, windows)
    return Classification((label,) if isinstance(label, str) else tuple(label), prediction["scores"], None, windows)
