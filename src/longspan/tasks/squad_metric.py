"""Exact match and F1 of answers to questions, as the evaluators of SQuAD v1.1 and v2.0 count them, in percent.

Both compare answers in lower case, without ASCII punctuation, without "a", "an" and "the", with single spaces; the best
of the gold answers counts. They differ in what is empty: v2.0 leaves out gold answers of which nothing remains, a
question without gold answers has the answer "", and against an empty answer F1 is equality. v1.1 counts a question
without a prediction as wrong, v2.0 leaves it out.

Source: Rajpurkar, Zhang, Lopyrev, Liang: SQuAD: 100,000+ Questions for Machine Comprehension of Text, 2016; Rajpurkar,
Jia, Liang: Know What You Don't Know: Unanswerable Questions for SQuAD, 2018.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """What is compared of an answer."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def bag_f1(prediction: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of two bags of tokens, 0 to 1; 0 where they share none."""
    shared = (Counter(prediction) & Counter(gold)).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / len(prediction), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def score_v1(golds: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> dict[str, float]:
    """``exact`` and ``f1`` of SQuAD v1.1, in percent.

    Args:
        golds: id of every question -> its answers, at least one.
        predictions: id -> answer.

    Raises:
        ValueError: there is no question, or one has no answer.
    """
    without = next((key for key, answers in golds.items() if not answers), None)
    if without is not None:
        raise ValueError(f"question {without!r} has no gold answer; v2.0 scores those")
    exact, f1 = 0.0, 0.0
    for key, answers in golds.items():
        if key in predictions:
            prediction = normalize(predictions[key])
            normal = [normalize(answer) for answer in answers]
            exact += prediction in normal
            f1 += max(bag_f1(prediction.split(), gold.split()) for gold in normal)
    return {"exact": _percent(exact, len(golds)), "f1": _percent(f1, len(golds))}


def score_v2(
    golds: Mapping[str, Sequence[str]],
    predictions: Mapping[str, str],
    no_answer_scores: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The figures of SQuAD v2.0, in percent.

    ``exact`` and ``f1``; the same over questions with (``has_answer_exact``, ...) and without an answer
    (``no_answer_exact``, ...), where there are some. With ``no_answer_scores`` also ``best_exact`` and ``best_f1``,
    what they would be with the best threshold, and the thresholds, ``best_exact_threshold`` and ``best_f1_threshold``:
    where a question's score is above it, "" is the answer.

    Args:
        golds: id of every question -> its answers, none where there is no answer.
        predictions: id -> answer, "" for no answer.
        no_answer_scores: id -> how much speaks for no answer.

    Raises:
        ValueError: no question has a prediction.
    """
    exact: dict[str, float] = {}
    f1: dict[str, float] = {}
    for key, answers in golds.items():
        if key in predictions:
            prediction = normalize(predictions[key])
            normal = [gold for gold in map(normalize, answers) if gold] or [""]
            exact[key] = float(prediction in normal)
            f1[key] = max(
                bag_f1(prediction.split(), gold.split()) if prediction and gold else float(prediction == gold)
                for gold in normal
            )
    found = {"exact": _mean(exact, exact), "f1": _mean(f1, f1)}
    for part, keys in (
        ("has_answer", [key for key in exact if golds[key]]),
        ("no_answer", [key for key in exact if not golds[key]]),
    ):
        if keys:
            found |= {f"{part}_exact": _mean(exact, keys), f"{part}_f1": _mean(f1, keys)}
    if no_answer_scores is not None:
        for name, scores in (("exact", exact), ("f1", f1)):
            best, threshold = _best_threshold(scores, golds, predictions, no_answer_scores)
            found |= {f"best_{name}": best, f"best_{name}_threshold": threshold}
    return found


def _best_threshold(
    scores: Mapping[str, float],
    golds: Mapping[str, Sequence[str]],
    predictions: Mapping[str, str],
    no_answer_scores: Mapping[str, float],
) -> tuple[float, float]:
    """The best total in percent, and its threshold.

    With a threshold below all scores everything is answered by "", which is right where there is no answer. Raising it
    past one question after the other lets their predictions count instead.
    """
    total = best = float(sum(not golds[key] for key in scores))
    threshold = 0.0
    for key in sorted(no_answer_scores, key=lambda key: no_answer_scores[key]):
        if key in scores:
            if golds[key]:
                total += scores[key]
            elif predictions[key]:
                total -= 1
            if total > best:
                best, threshold = total, no_answer_scores[key]
    return _percent(best, len(scores)), threshold


def _mean(scores: Mapping[str, float], keys: Sequence[str] | Mapping[str, float]) -> float:
    return _percent(sum(scores[key] for key in keys), len(keys))


def _percent(total: float, count: int) -> float:
    if count == 0:
        raise ValueError("there is no question to score")
    return 100.0 * total / count
