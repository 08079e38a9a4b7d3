"""Scores of answers: of TriviaQA, of SQuAD v2.0 where a question has no answer, else of SQuAD v1.1.

See :mod:`longspan.tasks.trivia_metric` and :mod:`longspan.tasks.squad_metric`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longspan.tasks.squad_metric import score_v1, score_v2
from longspan.tasks.trivia_metric import score_aliases


class AnswerRecord(NamedTuple):
    """What the scores of a question depend on.

    Attributes:
        id: of the question.
        golds: right answers, none where there is no answer; ``trivia`` whether they are names of one.
        answer: what is said, "" for no answer.
        best: the best span, also where there is said to be no answer.
        above: how far the score of "no answer" is above that of ``best``.
    """

    id: str
    golds: tuple[str, ...]
    answer: str
    best: str
    above: float
    trivia: bool


def score_answers(records: Sequence[AnswerRecord]) -> dict[str, float]:
    """``exact`` and ``f1``, in percent, and what SQuAD v2.0 has besides.

    Raises:
        ValueError: there is no question, or two have the same id.
    """
    golds = {record.id: record.golds for record in records}
    if len(golds) < len(records):
        raise ValueError("two questions have the same id")
    answers = {record.id: record.answer for record in records}
    if any(record.trivia for record in records):
        return score_aliases(golds, answers)
    if all(golds.values()):
        return score_v1(golds, answers)
    best = {record.id: record.best for record in records}
    thresholds = score_v2(golds, best, {record.id: record.above for record in records})
    return score_v2(golds, answers) | {name: value for name, value in thresholds.items() if name.startswith("best_")}
