"""Exact match and F1 against an answer's aliases, as TriviaQA's evaluator counts them, in percent.

Answers are compared in lower case with "_" and punctuation (ASCII, and the quotation marks ‘ ’ ´ `) as spaces, without
"a", "an" and "the", with single spaces; the best alias counts. SQuAD deletes punctuation instead: "well-known" is two
words here and one there.

Source: Joshi, Choi, Weld, Zettlemoyer: TriviaQA: A Large Scale Distantly Supervised Challenge Dataset for Reading
Comprehension, 2017.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

from longspan.tasks.squad_metric import bag_f1

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SPACED = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


def normalize(text: str) -> str:
    """What is compared of an answer."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_SPACED)).split())


def score_aliases(golds: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> dict[str, float]:
    """``exact`` and ``f1`` in percent; a question without a prediction is wrong.

    Args:
        golds: id of every question -> the aliases of its answer, at least one.
        predictions: id -> answer.

    Raises:
        ValueError: there is no question, or one has no alias.
    """
    if not golds:
        raise ValueError("there is no question to score")
    exact, f1 = 0.0, 0.0
    for key, aliases in golds.items():
        if not aliases:
            raise ValueError(f"question {key!r} has no alias of an answer")
        if key in predictions:
            prediction = normalize(predictions[key])
            normal = [normalize(alias) for alias in aliases]
            exact += prediction in normal
            f1 += max(bag_f1(prediction.split(), alias.split()) for alias in normal)
    return {"exact": 100.0 * exact / len(golds), "f1": 100.0 * f1 / len(golds)}
