"""Questions about a document of any length: the passages that answer them, or that there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from longspan.predict.loading import Checkpoint
from longspan.predict.loop import BATCH_TOKENS, OnBatch, predict_examples
from longspan.predict.predictions import as_loaded
from longspan.tasks.examples import QuestionExample, Source
from longspan.tasks.registry import make_task
from longspan.tasks.task import Prediction

_CANDIDATES = 20


@dataclass(frozen=True)
class Span:
    """A passage of a document.

    Attributes:
        start, end: code points; ``document[start:end]`` is the passage.
        text: the passage.
        score: sum of the model's scores of its first and last token.
        probability: its share among the best spans of the document and, where there may be none, no answer.
    """

    start: int
    end: int
    text: str
    score: float
    probability: float


@dataclass(frozen=True)
class Reply:
    """What is said to a question.

    Attributes:
        question: as asked.
        answer: the best span, or None where there is no answer.
        no_answer: the score of there being none, comparable to a span's.
        candidates: the best spans, the best first, also where there is no answer.
    """

    question: str
    answer: Span | None
    no_answer: float
    candidates: tuple[Span, ...]


def answer(
    checkpoint: str | Path | Checkpoint,
    document: str,
    questions: str | Sequence[str],
    *,
    top_k: int = 1,
    no_answer: bool | None = None,
    device: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: OnBatch | None = None,
) -> list[Reply]:
    """Answer questions with passages of a document.

    A document that the model cannot read at once is read in overlapping windows, each behind the question, which cover
    every token. The candidates of all windows are ordered by their scores. There is no answer where that is more
    likely than the best span in every window.

    Args:
        checkpoint: folder or hub id of a question answering model, or one that is loaded.
        document: a text of any length.
        questions: one, or several.
        top_k: candidates of each question.
        no_answer: whether there may be none; None for what the checkpoint was trained for.
        device, max_length, stride: as in :func:`longspan.predict.load`; not for a loaded checkpoint.
        batch_tokens: tokens of one batch, padding included.
        on_batch: called with the number of windows after each batch.

    Returns:
        A reply to each question, in their order.

    Raises:
        TypeError: the document or a question is no string.
        ValueError: a question is blank or too long for a window, ``top_k`` is below 1, or the checkpoint is for
            another task.
        OSError: a file of the checkpoint is missing.
    """
    asked = [questions] if isinstance(questions, str) else list(questions)
    for name, text in (("document", document), *(("a question", question) for question in asked)):
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a str, got {type(text).__name__}")
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    loaded = as_loaded(checkpoint, device, max_length, stride, task="answer")
    options = loaded.task.options()
    # more candidates than are shown: their scores are what a probability is a share of
    options["n_best"] = max(top_k, _CANDIDATES)
    if no_answer is not None:
        options["no_answer"] = no_answer
    task = make_task("answer", options)
    examples = [
        QuestionExample(str(number), Source(f"question {number}"), question, document)
        for number, question in enumerate(asked, start=1)
    ]
    found = predict_examples(task, loaded.model, examples, loaded.encoding, batch_tokens, on_batch)
    return [_reply(example.question, prediction, top_k) for example, prediction in found]


def _reply(question: str, prediction: Prediction, top_k: int) -> Reply:
    spans = tuple(Span(**candidate) for candidate in prediction["candidates"][:top_k])
    return Reply(question, spans[0] if prediction["answer"] else None, prediction["null_score"], spans)
