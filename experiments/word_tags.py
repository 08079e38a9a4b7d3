"""Tags of words without a model of the sentence: the word's most frequent tag, and logistic regression on features."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from longspan.tasks.conll import OUTSIDE
from longspan.tasks.examples import TaggedExample

STRENGTHS = (1.0, 3.0, 10.0, 30.0)
"""C of the logistic regression."""


class FrequentTag:
    """Each word's most frequent tag of the training examples; ``O`` for a word that they lack."""

    def fit(self, examples: Sequence[TaggedExample]) -> FrequentTag:
        """Count the tags of each word."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for example in examples:
            for word, tag in zip(words(example), example.tags or (), strict=True):
                counts[word][tag] += 1
        self._tags = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
        return self

    def predict(self, examples: Sequence[TaggedExample]) -> list[dict[str, Any]]:
        """Predictions as the task tag makes them."""
        return [{"id": x.id, "tags": [self._tags.get(word, OUTSIDE) for word in words(x)]} for x in examples]


class WordClassifier:
    """Logistic regression on a word, its ends and shape, and the words beside it."""

    def __init__(self, strength: float, seed: int) -> None:
        self._names = DictVectorizer()
        self._model = LogisticRegression(C=strength, max_iter=200, random_state=seed)

    def fit(self, examples: Sequence[TaggedExample]) -> WordClassifier:
        """Learn from the examples' tags."""
        rows = [row for x in examples for row in describe(words(x))]
        self._model.fit(self._names.fit_transform(rows), [tag for x in examples for tag in x.tags or ()])
        return self

    def predict(self, examples: Sequence[TaggedExample]) -> list[dict[str, Any]]:
        """Predictions as the task tag makes them."""
        rows = [row for x in examples for row in describe(words(x))]
        tags = iter(self._model.predict(self._names.transform(rows)).tolist())
        return [{"id": x.id, "tags": [next(tags) for _ in x.offsets]} for x in examples]


def words(example: TaggedExample) -> list[str]:
    """The words of an example."""
    return [example.text[start:end] for start, end in example.offsets]


def describe(sentence: Sequence[str]) -> Iterator[dict[str, bool]]:
    """The features of each word."""
    padded = ["", *sentence, ""]
    for before, word, after in zip(padded, sentence, padded[2:], strict=False):
        lower = word.lower()
        yield dict.fromkeys(
            (
                f"word {word}",
                f"lower {lower}",
                f"shape {_shape(word)}",
                *(f"begins {lower[:n]}" for n in (1, 2, 3)),
                *(f"ends {lower[-n:]}" for n in (1, 2, 3)),
                f"before {before.lower()}",
                f"before's shape {_shape(before)}",
                f"after {after.lower()}",
                f"after's shape {_shape(after)}",
            ),
            True,
        )


def _shape(word: str) -> str:
    """Kinds of characters, repetitions left out: "iPhone7" is "aAa0"."""
    shape = ""
    for character in word:
        kind = "0" if character.isdigit() else "A" if character.isupper() else "a" if character.isalpha() else character
        if not shape.endswith(kind):
            shape += kind
    return shape
