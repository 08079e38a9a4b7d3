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
        golds: right answers, none where there is no answer; ``trivia`` whether they are names of one.
        answer: what is said, "" for no answer.
        best: the best span, also where there is said to be no answer.
        above: how far the score of "no answer" is above that of ``best``.
    """

    golds: tuple[str, ...]
    answer: str
    best: str
    above: float
    trivia: bool


def score_answers(records: Sequence[AnswerRecord]) -> dict[str, float]:
    """``exact`` and ``f1``, in percent, and what SQuAD v2.0 has besides.

    Raises:
        ValueError: there is no question.
    """
    # by their places: nothing keeps two rows of a file from having one id
    numbered = {str(number): record for number, record in enumerate(records)}
    golds = {key: record.golds for key, record in numbered.items()}
    answers = {key: record.answer for key, record in numbered.items()}
    if any(record.trivia for record in records):
        return score_aliases(golds, answers)
    if all(golds.values()):
        return score_v1(golds, answers)
    best = {key: record.best for key, record in numbered.items()}
    thresholds = score_v2(golds, best, {key: record.above for key, record in numbered.items()})
    return score_v2(golds, answers) | {name: value for name, value in thresholds.items() if name.startswith("best_")}
