"""TF-IDF over words and pairs of words with logistic or ridge regression, and the most frequent class.

A setting is chosen by its score on the validation examples; the chosen one learns from these too before the test.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from longspan.tasks.examples import TextExample
from longspan.tasks.labels import as_number

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Inverses of the regularisation that are tried."""

EVEN = 0.55
"""Where no class has a larger share, weights for the classes are not tried."""


@dataclass(frozen=True)
class Setting:
    """What is chosen on the validation examples.

    Attributes:
        features: a key of ``FEATURES``; "each" is a model for each first text (hypothesis) on the second ones.
        strength: C of the logistic regression, inverse of ridge regression's alpha.
        balanced: weigh classes by the inverse of their frequency.
    """

    features: str
    strength: float
    balanced: bool = False


class Words:
    """TF-IDF of single words and pairs of words, sublinear, of those that occur in two texts at least."""

    def __init__(self, examples: Sequence[TextExample]) -> None:
        texts = dict.fromkeys(t for x in examples for t in (x.text, x.text_pair) if t is not None)
        self._vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32)
        self._vectorizer.fit(texts)

    def __call__(self, texts: Sequence[str]) -> Any:
        """(len(texts), words) sparse."""
        distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        return self._vectorizer.transform(distinct)[[distinct[text] for text in texts]]


def _single(words: Words, examples: Sequence[TextExample]) -> Any:
    return words([x.text for x in examples])


def _second(words: Words, examples: Sequence[TextExample]) -> Any:
    return words([x.text_pair or "" for x in examples])


def _beside(words: Words, examples: Sequence[TextExample]) -> Any:
    """Both texts' features, each with weights of its own."""
    return sparse.hstack([_single(words, examples), _second(words, examples)], format="csr")


def _compared(words: Words, examples: Sequence[TextExample]) -> Any:
    """What the two texts share, in what they differ, and their cosine."""
    first, second = _single(words, examples), _second(words, examples)
    cosine = sparse.csr_matrix(np.asarray(first.multiply(second).sum(axis=1)).reshape(-1, 1))
    return sparse.hstack([first.minimum(second), abs(first - second), cosine], format="csr", dtype=np.float32)


FEATURES: dict[str, Callable[[Words, Sequence[TextExample]], Any]] = {
    "text": _single,
    "beside": _beside,
    "compared": _compared,
    "each": _second,
}


def settings(examples: Sequence[TextExample], regression: bool) -> list[Setting]:
    """The settings to choose from; a model for each first text where there are few of them."""
    paired = examples[0].text_pair is not None
    features = ["beside", "compared", *(["each"] if repeats(examples) else [])] if paired else ["text"]
    most = Counter(x.label for x in examples).most_common(1)[0][1] / len(examples)
    balanced = (False,) if regression or most < EVEN else (False, True)
    return [Setting(*chosen) for chosen in itertools.product(features, STRENGTHS, balanced)]


def repeats(examples: Sequence[TextExample]) -> bool:
    """Whether first texts come again and again, as hypotheses do, so that each can have a model of its own."""
    return len({x.text for x in examples}) <= len(examples) / 20


class Linear:
    """A linear model of a setting."""

    def __init__(self, setting: Setting, regression: bool, seed: int) -> None:
        self.setting, self.regression, self.seed = setting, regression, seed
        self._models: dict[str, Any] = {}

    def fit(self, features: Any, examples: Sequence[TextExample]) -> Linear:
        """Learn from ``features`` (len(examples), F)."""
        for key, rows in self._groups(examples).items():
            self._models[key] = self._fit(features[rows], [examples[row].label for row in rows])
        return self

    def predict(self, features: Any, examples: Sequence[TextExample]) -> list[dict[str, Any]]:
        """Predictions as the task classify makes them."""
        labels: list[Any] = [None] * len(examples)
        for key, rows in self._groups(examples).items():
            for row, label in zip(rows, self._models[key].predict(features[rows]), strict=True):
                labels[row] = float(label) if self.regression else str(label)
        return [{"id": x.id, "label": label} for x, label in zip(examples, labels, strict=True)]

    def _groups(self, examples: Sequence[TextExample]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for row, example in enumerate(examples):
            groups.setdefault(example.text if self.setting.features == "each" else "", []).append(row)
        return groups

    def _fit(self, features: Any, labels: Sequence[Any]) -> Any:
        if self.regression:
            return Ridge(alpha=1 / self.setting.strength).fit(features, [as_number(label) for label in labels])
        classes = len(set(labels))
        if classes == 1:
            return Majority().fit(labels)
        return LogisticRegression(
            C=self.setting.strength,
            class_weight="balanced" if self.setting.balanced else None,
            solver="liblinear" if classes == 2 else "lbfgs",
            max_iter=1000,
            random_state=self.seed,
        ).fit(features, list(labels))


class Learner:
    """Models of several settings on the same training examples, whose features are computed once."""

    def __init__(self, examples: Sequence[TextExample], regression: bool, seed: int) -> None:
        self.examples, self.regression, self.seed = examples, regression, seed
        self._words = Words(examples)
        self._known: dict[tuple[str, int], Any] = {}

    def __call__(self, setting: Setting) -> Callable[[Sequence[TextExample]], list[dict[str, Any]]]:
        """What predicts under a setting."""
        model = Linear(setting, self.regression, self.seed).fit(self._features(setting, self.examples), self.examples)
        return lambda asked: model.predict(self._features(setting, asked), asked)

    def _features(self, setting: Setting, examples: Sequence[TextExample]) -> Any:
        key = setting.features, id(examples)
        if key not in self._known:
            self._known[key] = FEATURES[setting.features](self._words, examples)
        return self._known[key]


class Majority:
    """The most frequent label, whatever the features."""

    def fit(self, labels: Sequence[Any]) -> Majority:
        """Count the labels."""
        self.label = Counter(labels).most_common(1)[0][0]
        return self

    def predict(self, features: Any) -> list[Any]:
        """The label for each row."""
        return [self.label] * features.shape[0]
