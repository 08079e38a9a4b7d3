"""Answers found without learning: the sentence that shares most with the question, and a span of it.

After the sliding window of Rajpurkar and others (SQuAD, 2016), without their parse trees: candidates are runs of words
that the question lacks.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from longspan.tasks.examples import QuestionExample
from longspan.tasks.sentences import split_sentences

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")

Token = tuple[str, int, int]
"""A word in lower case, and where it begins and ends in its document."""


@dataclass(frozen=True)
class Setting:
    """What is chosen on the validation examples.

    Attributes:
        candidates: "sentence", the whole of it; "runs", words that the question lacks; "names", of these only what is
            capitalised or has a digit.
        longest: words of the longest candidate; 0 for any.
    """

    candidates: str
    longest: int = 0


SETTINGS = (
    Setting("sentence"),
    *(Setting(kind, longest) for kind in ("runs", "names") for longest in (2, 3, 5, 8)),
)


@dataclass(frozen=True)
class Article:
    """A document's sentences, and how much each of its words says."""

    sentences: tuple[tuple[Token, ...], ...]
    weights: dict[str, float]


@lru_cache(maxsize=64)
def read_article(text: str) -> Article:
    """The article of a text; a word weighs the logarithm of how rare it is among the sentences."""
    sentences = tuple(
        tuple((m.group().lower(), start + m.start(), start + m.end()) for m in _WORD.finditer(text[start:end]))
        for start, end in split_sentences(text)
    )
    sentences = tuple(sentence for sentence in sentences if sentence)
    counts = Counter(word for sentence in sentences for word in {word for word, _, _ in sentence})
    return Article(sentences, {word: math.log(1 + len(sentences) / count) for word, count in counts.items()})


def predict(examples: Sequence[QuestionExample], setting: Setting) -> list[dict[str, Any]]:
    """Predictions as the task answer makes them: their ``id`` and ``answer``."""
    return [{"id": x.id, "answer": find_answer(x.question, x.context, setting)} for x in examples]


def find_answer(question: str, text: str, setting: Setting) -> str:
    """The candidate nearest to the question's words, of the sentence that shares most weight with the question."""
    article = read_article(text)
    asked = {word.lower() for word in _WORD.findall(question)}
    if not article.sentences:
        return ""
    # fsum: of a set, in whatever order it comes
    sentence = max(
        article.sentences, key=lambda s: math.fsum(article.weights[w] for w in asked & {word for word, _, _ in s})
    )
    if setting.candidates == "sentence":
        return text[sentence[0][1] : sentence[-1][2]]
    best = max(
        _candidates(sentence, asked, text, setting),
        key=lambda span: _nearness(sentence, asked, article.weights, *span),
        default=(0, len(sentence)),
    )
    return text[sentence[best[0]][1] : sentence[best[1] - 1][2]]


def _candidates(sentence: Sequence[Token], asked: set[str], text: str, setting: Setting) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of the runs between words that cannot be in an answer, cut to the longest length."""

    def fits(token: Token) -> bool:
        word = text[token[1] : token[2]]
        named = word[0].isupper() or any(character.isdigit() for character in word)
        return token[0] not in asked and (setting.candidates == "runs" or named)

    barriers = [-1, *(i for i, token in enumerate(sentence) if not fits(token)), len(sentence)]
    for before, after in pairwise(barriers):
        for first in range(before + 1, after, setting.longest or len(sentence)):
            yield first, min(after, first + setting.longest) if setting.longest else after


def _nearness(sentence: Sequence[Token], asked: set[str], weights: dict[str, float], first: int, last: int) -> float:
    """Weight of the question's words around a span, the nearer the more, and a little for what is said in it."""
    around = 0.0
    for place, (word, _, _) in enumerate(sentence):
        if word in asked:
            distance = first - place if place < first else place - last + 1
            around += weights[word] / (1 + max(distance, 0))
    return around + 0.1 * sum(weights[word] for word, _, _ in sentence[first:last])
