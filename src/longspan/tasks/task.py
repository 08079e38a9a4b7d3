"""What every task promises: from files to examples, to features, and from what a model says of them to a score.

A task knows its data and its tokenizer, never a model: training and prediction ask it for batches and hand it raw
outputs. One example may become several features, windows of a document longer than the model; whoever runs the model
collects their outputs, and :meth:`Task.decode` makes one prediction of them.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from longspan.tasks.examples import BadRow, Example
from longspan.tasks.logits import NO_TARGET

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Features = dict[str, Any]
"""Input of the model for one window: lists of numbers under the model's argument names, and what ``decode`` needs."""

Prediction = dict[str, Any]
"""What is said of one example, ready for JSON; it carries the example's ``id``."""

ExampleT = TypeVar("ExampleT", bound=Example)


@dataclass(frozen=True)
class Encoding:
    """How texts become tokens.

    Attributes:
        tokenizer: a fast tokenizer of ``transformers``.
        max_length: tokens that the model reads at once, special ones included; None for any number.
        stride: tokens that neighbouring windows of a longer document share.
        family: "longformer" or "nystromformer": only the former is given a global attention mask.
    """

    tokenizer: Any
    max_length: int | None
    stride: int = 128
    family: str = "longformer"


class Task(ABC, Generic[ExampleT]):
    """A kind of task with its options. Options are plain values: a checkpoint carries them beside its weights."""

    name: ClassVar[str]
    """As the command line calls it."""

    head: ClassVar[str]
    """The model class without its family, for example "ForSequenceClassification"."""

    metric: str
    """The score by which checkpoints are compared, a key of :meth:`score`."""

    greater_is_better: bool = True

    special_tokens: tuple[str, ...] = ()
    """Tokens that the task puts into its input: a tokenizer that lacks them gets them before training."""

    given: frozenset[str]
    """Names of the options that whoever made the task gave, be it with their default values."""

    def __new__(cls, *args: Any, **options: Any) -> Task[ExampleT]:
        """Note which options are given: those of a checkpoint give way to them, and to no default."""
        task = super().__new__(cls)
        task.given = frozenset(inspect.signature(cls.__init__).bind(task, *args, **options).arguments) - {"self"}
        return task

    def __init__(self) -> None:
        """Make a task that has no options."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What ``type(self)(**options)`` needs to make this task again, ready for JSON."""

    @abstractmethod
    def read(self, path: str, layout: str | None = None) -> Iterator[ExampleT | BadRow]:
        """The examples of a file or folder, one at a time, bad rows in their places.

        Args:
            path: file or folder.
            layout: name of a published layout; None to go by the file's name and first row.

        Raises:
            DataError: the file is empty, of an unknown kind, or lacks a column; an unknown ``layout``.
            OSError: it cannot be opened.
        """

    def learn(self, examples: Iterable[ExampleT]) -> None:
        """Take what the model's configuration needs (labels, kind of problem) from the training examples.

        Called once, before the first :meth:`encode`, and not for a checkpoint that knows its labels already.
        """

    def stratum(self, example: ExampleT) -> str | None:
        """The class of an example, of each of which the same share is held out for validation; None for none."""
        return None

    def group(self, example: ExampleT) -> str | None:
        """A text that an example has in common with others, such as the document that all of them ask about.

        All examples of a group are held out for validation, or none. None where each stands alone.
        """
        return None

    def settings(self) -> dict[str, Any]:
        """Fields of the model's configuration that this task decides (``id2label``, ``problem_type``, ...)."""
        return {}

    @abstractmethod
    def encode(self, example: ExampleT, encoding: Encoding, training: bool) -> list[Features] | BadRow:
        """The features of one example; a bad row where its label or place fits nothing.

        In training without what is to be learnt (windows that hold no answer may be left out); in prediction windows
        cover every token.
        """

    def join(self, features: Iterable[Features], encoding: Encoding) -> Iterable[Features]:
        """The rows of the training set, from the features of all its examples in turn; a stream, and for training only.

        A task overrides it where a row holds more than one example, as blocks of text do.
        """
        return features

    @abstractmethod
    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        """A padded batch: what the model's ``forward`` takes, ``labels`` where the features have them.

        In training each of the features also carries ``epoch`` and ``row``, its number in the training set, both
        counted from 0: what is random may depend on these and the task's seed only, so that a resumed run draws the
        same.
        """

    def loss(self, outputs: Any, batch: Mapping[str, Tensor], num_items_in_batch: Any = None) -> Tensor | None:
        """The loss where it is not the model's own, a sum over ``num_items_in_batch`` where that is given; or None.

        ``batch`` then holds what :meth:`targets` names, which the model is not given.
        """
        return None

    targets: tuple[str, ...] = ()
    """Keys of a batch that are for :meth:`loss` only."""

    def count_targets(self, batch: Mapping[str, Tensor]) -> int:
        """Number of targets of a batch, by which losses are divided over processes and accumulated steps."""
        labels = batch["labels"]
        return int((labels != NO_TARGET).sum())

    outputs: tuple[str, ...] = ("logits",)
    """Fields of the model's output that :meth:`decode` reads."""

    def pick(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What :meth:`decode` is given, a row for each of the batch; on the model's device, padding included.

        A task overrides it where the fields themselves are too large to keep, as the logits over a vocabulary are.
        ``batch`` is what :meth:`collate` made, ``labels`` and :attr:`targets` included.
        """
        return {name: getattr(outputs, name) for name in self.outputs}

    @abstractmethod
    def decode(
        self, example: ExampleT, features: Sequence[Features], outputs: Sequence[Mapping[str, np.ndarray]]
    ) -> Prediction:
        """The prediction for one example from the raw outputs of its features, unpadded, float32, in order."""

    @abstractmethod
    def record(self, example: ExampleT, prediction: Prediction) -> Any:
        """What the scores depend on of an example and its prediction: a small plain value, without the text.

        An evaluation keeps this of every example, and nothing else; processes send it to each other.

        Raises:
            ValueError: the example has no gold label.
        """

    @abstractmethod
    def score_records(self, records: Sequence[Any]) -> dict[str, float]:
        """The task's figures, ``metric`` among them, whatever the records' order.

        Raises:
            ValueError: there is no record.
        """

    def score(self, examples: Iterable[ExampleT], predictions: Iterable[Prediction]) -> dict[str, float]:
        """The task's figures of examples and what is said of each.

        Raises:
            ValueError: an example has no gold label, or there is no example.
        """
        return self.score_records([self.record(e, p) for e, p in zip(examples, predictions, strict=True)])
