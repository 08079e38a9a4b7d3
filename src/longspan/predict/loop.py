"""A model run over the features of many examples: batches of similar length, raw outputs in the order they came.

Features are taken a buffer at a time, sorted by length within it, and cut into batches of about equal numbers of
tokens, so that neither padding nor memory grows with the data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from longspan.tasks.examples import BadRow, Example
from longspan.tasks.task import Encoding, Features, Prediction, Task

if TYPE_CHECKING:
    import numpy as np
    import torch

BATCH_TOKENS = 16384
"""Tokens of one batch, padding included; a longer window is a batch of its own."""

BUFFER = 16
"""Batches whose features are sorted together: what a row shares a batch with is decided within them."""

# Heads that say something of each token; the others say it of each row.
_TOKEN_HEADS = frozenset({"ForTokenClassification", "ForQuestionAnswering", "ForMaskedLM"})

RawOutputs = dict[str, "np.ndarray"]
"""Raw outputs of one window: what ``pick`` names, float32, without padding."""

OnBatch = Callable[[int], None]
"""Called with the number of windows after each batch."""

ExampleT = TypeVar("ExampleT", bound=Example)


class Reader(Protocol):
    """What :func:`run` asks of a task; see :class:`longspan.tasks.task.Task`."""

    @property
    def head(self) -> str: ...

    @property
    def targets(self) -> tuple[str, ...]: ...

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, torch.Tensor]: ...

    def pick(self, outputs: Any, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]: ...


def run(
    task: Reader,
    model: Any,
    examples: Iterable[Sequence[Features]],
    encoding: Encoding,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: OnBatch | None = None,
) -> Iterator[list[RawOutputs]]:
    """Raw outputs of each example's windows, in input order.

    Args:
        task: collates features and picks what is kept of the model's output.
        model: the model with the task's head, on its device; its mode (training or not) is restored.
        examples: the features of one example after another, as :meth:`Task.encode` gives them.
        encoding: how the features were made.
        batch_tokens: tokens of one batch, padding included.
        on_batch: called with the number of windows after each batch.

    Yields:
        For each example a list with the outputs of each of its windows: arrays over the window's own tokens where the
        head speaks of tokens, over the row's choices or labels elsewhere.

    Raises:
        ValueError: ``batch_tokens`` is below 1.
    """
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens must be at least 1, got {batch_tokens}")
    buffer: list[Sequence[Features]] = []
    tokens = 0
    for features in examples:
        buffer.append(features)
        tokens += sum(map(count_tokens, features))
        if tokens >= BUFFER * batch_tokens:
            yield from _run_buffer(task, model, buffer, encoding, batch_tokens, on_batch)
            buffer, tokens = [], 0
    yield from _run_buffer(task, model, buffer, encoding, batch_tokens, on_batch)


def predict_examples(
    task: Task[ExampleT],
    model: Any,
    examples: Iterable[ExampleT],
    encoding: Encoding,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: OnBatch | None = None,
    on_bad: Callable[[BadRow], None] | None = None,
) -> Iterator[tuple[ExampleT, Prediction]]:
    """Each example with what is said of it, in input order.

    Args:
        task, model, encoding, batch_tokens, on_batch: as in :func:`run`.
        examples: one after another; they are held a buffer at a time.
        on_bad: called for an example that cannot be encoded, which is then left out; None to raise.

    Raises:
        DataError: an example cannot be encoded, and ``on_bad`` is None.
    """
    waiting: deque[tuple[ExampleT, Sequence[Features]]] = deque()

    def encoded() -> Iterator[Sequence[Features]]:
        for example in examples:
            features = task.encode(example, encoding, training=False)
            if isinstance(features, BadRow):
                if on_bad is None:
                    raise features.error()
                on_bad(features)
                continue
            waiting.append((example, features))
            yield features

    for outputs in run(task, model, encoded(), encoding, batch_tokens, on_batch):
        example, features = waiting.popleft()
        yield example, task.decode(example, features, outputs)


def count_tokens(features: Features) -> int:
    """Tokens of one window, those of all choices where it has several."""
    ids = features["input_ids"]
    return sum(map(len, ids)) if _has_choices(features) else len(ids)


def batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices sorted by length, the longest first, cut so that the longest times the number stays in the budget."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    found: list[list[int]] = []
    for i in order:
        if found and lengths[found[-1][0]] * (len(found[-1]) + 1) <= batch_tokens:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def _run_buffer(
    task: Reader,
    model: Any,
    buffer: Sequence[Sequence[Features]],
    encoding: Encoding,
    batch_tokens: int,
    on_batch: OnBatch | None,
) -> Iterator[list[RawOutputs]]:
    flat = [window for features in buffer for window in features]
    outputs: list[RawOutputs] = [{} for _ in flat]
    with _inference(model) as device:
        for indices in batches([count_tokens(window) for window in flat], batch_tokens):
            windows = [flat[i] for i in indices]
            collated = task.collate(windows, encoding)
            batch = {name: value.to(device) for name, value in collated.items()}
            inputs = {name: value for name, value in batch.items() if name not in ("labels", *task.targets)}
            # one copy a batch: an accelerator waits at each
            picked = {name: _to_numpy(value) for name, value in task.pick(model(**inputs), batch).items()}
            for row, i in enumerate(indices):
                outputs[i] = _take_row(task, picked, collated, row, flat[i])
            if on_batch is not None:
                on_batch(len(indices))
    place = 0
    for features in buffer:
        yield outputs[place : place + len(features)]
        place += len(features)


def _take_row(
    task: Reader,
    picked: Mapping[str, np.ndarray],
    batch: Mapping[str, torch.Tensor],
    row: int,
    window: Features,
) -> RawOutputs:
    """One window's part of a batch's outputs, without the batch's padding."""
    part = slice(None)
    if _has_choices(window):
        part = slice(len(window["input_ids"]))
    elif task.head in _TOKEN_HEADS:
        n, width = len(window["input_ids"]), batch["input_ids"].shape[1]
        mask = batch.get("attention_mask")
        left = n < width and mask is not None and not bool(mask[row, 0])
        part = slice(width - n, width) if left else slice(n)
    # a figure for the whole row has no dimension to cut; a copy, so that the batch's padding is not kept
    return {name: (value[row][part] if value.ndim > 1 else value[row]).copy() for name, value in picked.items()}


def _to_numpy(value: torch.Tensor) -> np.ndarray:
    return (value.float() if value.is_floating_point() else value).cpu().numpy()


def _has_choices(window: Features) -> bool:
    ids = window["input_ids"]
    return len(ids) > 0 and hasattr(ids[0], "__len__")


@contextmanager
def _inference(model: Any) -> Iterator[torch.device]:
    """The model in evaluation mode, without gradients; gives its device."""
    import torch

    training = model.training
    model.eval()
    try:
        # what a sharded model gathers it keeps for training, which cannot write to tensors of inference mode
        with torch.no_grad() if hasattr(model, "unshard") else torch.inference_mode():
            yield next(model.parameters()).device
    finally:
        model.train(training)
