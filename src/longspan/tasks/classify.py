"""The task classify: a class, several classes or a number for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from longspan.tasks.examples import BadRow, DataError, TextExample
from longspan.tasks.label_scores import LOWER_IS_BETTER, SCORES, score_class_sets, score_classes, score_numbers
from longspan.tasks.labels import PROBLEMS, as_number, class_name, class_numbers, learn_labels
from longspan.tasks.layouts.columns import Columns
from longspan.tasks.layouts.glue import GLUE_METRICS
from longspan.tasks.layouts.labelled import read_labelled, recognise_layout
from longspan.tasks.logits import sigmoid, softmax
from longspan.tasks.moments import Moments
from longspan.tasks.pairs import cut, encode_pair, pad_columns
from longspan.tasks.task import Encoding, Features, Prediction, Task

if TYPE_CHECKING:
    from torch import Tensor


class Classify(Task[TextExample]):
    """Classes of texts, or numbers for them (regression).

    A document longer than the model is read in windows. In training each window has the document's label; a prediction
    is the mean over the windows, of probabilities or of numbers.

    Args:
        problem: "single", "multi" or "regression", also by the names of a configuration's ``problem_type``; None to go
            by the labels of the data (see :mod:`longspan.tasks.labels`), or, where ``labels`` are given, "single".
        labels: class names in the model's order; None to learn them.
        text, text_pair, label: columns of a table; ``text_pair`` None for one text.
        separator: what stands between several class names in a field of CSV or TSV; None where a field is one name.
        metric: by which checkpoints are compared, one of the problem's ``SCORES``; None for the one that is reported of
            the layout (``GLUE_METRICS``), else their first.
        truncate: read the first window of a longer document only.
        global_text: the tokens of the first of two texts (a question, a hypothesis) are global in a Longformer, besides
            the row's first token.
        moments: mean and standard deviation of a regression's numbers; None to learn them.
        pairs: whether the model reads two texts; None to learn it, and of older checkpoints for either.

    Raises:
        ValueError: an unknown problem or metric; labels that occur twice.
    """

    name = "classify"
    head = "ForSequenceClassification"

    def __init__(
        self,
        problem: str | None = None,
        labels: Sequence[str] | None = None,
        text: str = "text",
        text_pair: str | None = None,
        label: str = "label",
        separator: str | None = None,
        metric: str | None = None,
        truncate: bool = False,
        global_text: bool = False,
        moments: Sequence[float] | None = None,
        pairs: bool | None = None,
    ) -> None:
        self.columns = Columns(text, text_pair, label, separator=separator)
        self.truncate = truncate
        self.global_text = global_text
        self.pairs = pairs
        self.moments = None if moments is None else tuple(moments)
        if self.moments is not None and (len(self.moments) != 2 or not self.moments[1] > 0):
            raise ValueError(f"moments must be a mean and a standard deviation above 0, got {list(self.moments)}")
        self._metric = metric
        problem = next((short for short, long in PROBLEMS.items() if problem == long), problem)
        if problem is None and labels:
            problem = "single" if len(labels) > 1 else "regression"
        if problem not in (None, *PROBLEMS):
            raise ValueError(f"problem must be one of {', '.join(PROBLEMS)}, got {problem!r}")
        self._decide(problem, labels or ())

    def _decide(self, problem: str | None, labels: Sequence[str]) -> None:
        self.problem = problem
        self.labels = [] if problem == "regression" else list(labels)
        self._places = {label: place for place, label in enumerate(self.labels)}
        if len(self._places) < len(self.labels):
            raise ValueError(f"labels must be different from each other, got {self.labels}")
        known = SCORES[problem] if problem else tuple(name for names in SCORES.values() for name in names)
        if self._metric not in (None, *known):
            kind = f"a {problem} problem" if problem else "the task classify"
            raise ValueError(f"metric of {kind} must be one of {', '.join(known)}, got {self._metric!r}")
        if self._metric == "f1" and len(self.labels) not in (0, 2):
            raise ValueError(f"metric f1 is that of the second of two classes, there are {len(self.labels)}: f1_macro?")
        self.metric = self._metric or known[0]
        self.greater_is_better = self.metric not in LOWER_IS_BETTER

    def options(self) -> dict[str, Any]:
        return {
            "problem": self.problem,
            "labels": self.labels or None,
            "text": self.columns.text,
            "text_pair": self.columns.text_pair,
            "label": self.columns.label,
            "separator": self.columns.separator,
            "metric": self._metric,
            "truncate": self.truncate,
            "global_text": self.global_text,
            "moments": None if self.moments is None else list(self.moments),
            "pairs": self.pairs,
        }

    def read(self, path: str, layout: str | None = None) -> Iterator[TextExample | BadRow]:
        return read_labelled(path, self.columns, layout or recognise_layout(path, self.columns))

    def stratum(self, example: TextExample) -> str | None:
        return class_name(example.label) if isinstance(example.label, str | float) else None

    def group(self, example: TextExample) -> str | None:
        """The second text of ContractNLI: each contract comes with all hypotheses."""
        return example.text_pair if example.layout == "contract-nli" else None

    def learn(self, examples: Iterable[TextExample]) -> None:
        rows, moments = iter(examples), Moments()
        first = list(islice(rows, 1))
        layout = first[0].layout if first else None
        if layout is not None and self.columns.chosen():
            named = ", ".join(f"{name}={value}" for name, value in self.columns.chosen().items())
            file = first[0].source.file
            raise DataError(f"{file}: the layout {layout} has columns of its own, {named} is for a table")
        if self.pairs is None and first:
            self.pairs = first[0].text_pair is not None
        problem, labels = learn_labels(moments.watch(chain(first, rows)), self.problem, self.columns.label)
        labels = self.labels or labels
        usual = GLUE_METRICS.get(layout or "")
        if self._metric is None and usual in SCORES[problem] and (usual != "f1" or len(labels) == 2):
            self._metric = usual
        self._decide(problem, labels)
        if problem == "regression" and self.moments is None:
            self.moments = moments.result()

    def settings(self) -> dict[str, Any]:
        if self.problem is None:
            return {}
        labels = self.labels or ["LABEL_0"]
        return {
            "problem_type": PROBLEMS[self.problem],
            "id2label": dict(enumerate(labels)),
            "label2id": {label: place for place, label in enumerate(labels)},
        }

    def find_misfit(self, pair: bool) -> str | None:
        """What to say of two texts (``pair``) or one, where the model reads the other number of them."""
        if self.pairs is None or self.pairs == pair:
            return None
        return f"the model reads {'two texts' if self.pairs else 'one text'}, this is {'a pair' if pair else 'one'}"

    def encode(self, example: TextExample, encoding: Encoding, training: bool) -> list[Features] | BadRow:
        if training and example.label is None:
            return BadRow(example.source, f"there is no label in {self.columns.label!r}")
        misfit = self.find_misfit(example.text_pair is not None)
        if misfit is not None:
            return BadRow(example.source, misfit)
        try:
            target = {} if example.label is None else {"labels": self._target(example.label)}
        except ValueError as error:
            return BadRow(example.source, str(error))
        encoded = encode_pair(encoding.tokenizer, example.text, example.text_pair)
        if self.global_text and example.text_pair is not None and encoding.family == "longformer":
            encoded.columns["global_attention_mask"] = [
                int(place == 0 or sequence == 0) for place, sequence in enumerate(encoded.sequences)
            ]
        span = encoded.span(max((0, 1), key=encoded.sequences.count))
        size = span[1] - span[0]
        try:
            windows = cut(size, len(encoded) - size, encoding)
        except ValueError as error:
            return BadRow(example.source, str(error))
        return [encoded.window(span, *w) | target for w in (windows[:1] if self.truncate else windows)]

    def _target(self, label: str | tuple[str, ...] | float) -> float | int | list[float]:
        if self.problem == "regression":
            mean, deviation = self.moments or (0.0, 1.0)
            return (as_number(label) - mean) / deviation
        found = class_numbers(label, self._places)
        if self.problem == "multi":
            return [float(place in found) for place in range(len(self.labels))]
        if isinstance(label, tuple):
            raise ValueError(f"one label is wanted, this is a list of {len(found)}")
        return found[0]

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        import torch

        batch = pad_columns(features, encoding.tokenizer)
        if all("labels" in f for f in features):
            dtype = torch.long if self.problem == "single" else torch.float32
            batch["labels"] = torch.tensor([f["labels"] for f in features], dtype=dtype)
        return batch

    def count_targets(self, batch: Mapping[str, Tensor]) -> int:
        return batch["labels"].numel()

    def decode(
        self, example: TextExample, features: Sequence[Features], outputs: Sequence[Mapping[str, np.ndarray]]
    ) -> Prediction:
        """``label`` as data has it; for classes also ``scores``, the probability of each; ``windows``, if several."""
        logits = np.stack([output["logits"] for output in outputs]).astype(np.float64)
        prediction: Prediction = {"id": example.id}
        if self.problem == "regression":
            mean, deviation = self.moments or (0.0, 1.0)
            prediction["label"] = float(logits.mean()) * deviation + mean
        else:
            chances = (softmax if self.problem == "single" else sigmoid)(logits).mean(axis=0)
            scores = dict(zip(self.labels, chances.tolist(), strict=True))
            several = [label for label, chance in scores.items() if chance >= 0.5]
            prediction["label"] = self.labels[int(chances.argmax())] if self.problem == "single" else several
            prediction["scores"] = scores
        return prediction | ({"windows": len(outputs)} if len(outputs) > 1 else {})

    def record(self, example: TextExample, prediction: Prediction) -> tuple[Any, Any]:
        """The right label and the one that is said: numbers, numbers of classes, or tuples of these."""
        if example.label is None:
            raise ValueError(f"{example.source}: there is no label to compare with")
        said = prediction["label"]
        if self.problem == "regression":
            return as_number(example.label), float(said)
        named = tuple(said) if self.problem == "multi" else said
        gold, found = (tuple(class_numbers(label, self._places)) for label in (example.label, named))
        return (gold, found) if self.problem == "multi" else (gold[0], found[0])

    def score_records(self, records: Sequence[tuple[Any, Any]]) -> dict[str, float]:
        """See ``label_scores.SCORES``."""
        if not records:
            raise ValueError("there is no example to score")
        gold, said = zip(*records, strict=True)
        if self.problem == "regression":
            return score_numbers(gold, said)
        return (score_class_sets if self.problem == "multi" else score_classes)(gold, said, len(self.labels))
