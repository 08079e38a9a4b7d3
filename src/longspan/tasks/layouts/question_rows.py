"""Questions as rows of a table: ``question``, ``context``, and what is known of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from longspan.tasks.examples import BadRow, QuestionExample, Source
from longspan.tasks.layouts.fields import get_id, get_text, get_texts, shorten
from longspan.tasks.layouts.mentions import find_mentions
from longspan.tasks.layouts.squad import find_answer
from longspan.tasks.tables import read_tables

Answers = tuple[tuple[str, int | None], ...]


def read_question_rows(path: str) -> Iterator[QuestionExample | BadRow]:
    """The questions of a table, in their order.

    A row has ``question`` and ``context`` and may have ``id``. Its answers are one of

    - ``answers``: a list of texts, or of objects with ``text`` and ``start`` (or ``answer_start``);
    - ``answers``: ``{"text": [...], "answer_start": [...]}``, as ``datasets`` has SQuAD;
    - ``answer`` and ``answer_start``, in CSV and TSV.

    No answer in a list, or a blank ``answer``, says that the question has none; without both fields nothing is known.
    An answer without a place stands wherever its text stands as whole words.

    Raises:
        DataError: as :func:`longspan.tasks.tables.read_tables`.
        OSError: the file cannot be opened.
    """
    for row in read_tables(path, ("question", "context")):
        if isinstance(row, BadRow):
            yield row
            continue
        source, fields = row
        try:
            yield _example(source, fields)
        except ValueError as error:
            yield BadRow(source, str(error))


def _example(source: Source, fields: Mapping[str, Any]) -> QuestionExample:
    question, context = get_text(fields, "question"), get_text(fields, "context")
    given = _given(fields)
    answers: list[tuple[str, int | None]] = []
    for text, start in given or ():
        if start is not None:
            answers.append((text, find_answer(context, text, start)))
            continue
        places = find_mentions(context, [text])
        if not places:
            raise ValueError(f"the answer {shorten(text)} does not stand in its context")
        answers += [(context[first:end], first) for first, end in places]
    return QuestionExample(
        id=get_id(fields, "id", source),
        source=source,
        question=question,
        context=context,
        answers=tuple(answers),
        answerable=None if given is None else bool(given),
    )


def _given(fields: Mapping[str, Any]) -> list[tuple[str, int | None]] | None:
    """The answers of a row as it says them; None where it says nothing."""
    answers, answer = fields.get("answers"), fields.get("answer")
    if isinstance(answers, Mapping):
        texts, starts = get_texts(answers, "text"), answers.get("answer_start")
        if starts is None:
            starts = [None] * len(texts)
        if not isinstance(starts, list) or len(starts) != len(texts):
            raise ValueError(f"'answer_start' must be a list of {len(texts)} places, got {shorten(starts)}")
        return [(text, _place(start)) for text, start in zip(texts, starts, strict=True)]
    if isinstance(answers, list):
        return [_entry(entry) for entry in answers]
    if answers is not None:
        raise ValueError(f"'answers' must be a list, got {shorten(answers)}; one text alone is named 'answer'")
    if answer is None:
        return None
    if not isinstance(answer, str):
        raise ValueError(f"'answer' must be a text, got {shorten(answer)}")
    return [(answer, _place(fields.get("answer_start")))] if answer.strip() else []


def _entry(entry: Any) -> tuple[str, int | None]:
    if isinstance(entry, str):
        return entry, None
    return get_text(entry, "text"), _place(entry.get("start", entry.get("answer_start")))


def _place(value: Any) -> int | None:
    """A place; text in CSV and TSV, where a blank says nothing."""
    if isinstance(value, str):
        try:
            return int(value) if value.strip() else None
        except ValueError:
            pass
    elif value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError(f"the place of an answer must be a whole number, got {shorten(value)}")
