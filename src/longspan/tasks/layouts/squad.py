"""SQuAD v1.1 and v2.0: articles, their paragraphs, and questions whose answers are spans of a paragraph.

``{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text", "answer_start"}],
"is_impossible"}]}]}]}``; ``is_impossible`` only in v2.0, no ``answers`` in a test set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from longspan.tasks.examples import BadRow, DataError, QuestionExample, Source
from longspan.tasks.files import read_json
from longspan.tasks.layouts.fields import get_id, get_list, get_text, shorten

PARAGRAPH_END = "\n\n"
"""What stands between the paragraphs of an article that is read as a whole."""


def read_squad(path: str, whole_articles: bool = False) -> Iterator[QuestionExample | BadRow]:
    """The questions of a file in SQuAD's layout, in their order; the place of one is its number in the file.

    Args:
        path: the JSON file.
        whole_articles: the context is not a question's paragraph but its whole article, the paragraphs joined by
            ``PARAGRAPH_END``; places of answers move with it.

    Raises:
        DataError: the file is no JSON, or not of this layout.
        OSError: it cannot be opened.
    """
    content = read_json(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("data"), list):
        raise DataError(f'{path}: not in the layout of SQuAD: an object with a list "data" is wanted')
    number = 0
    for article in content["data"]:
        try:
            paragraphs = [(get_text(p, "context"), get_list(p, "qas")) for p in get_list(article, "paragraphs")]
        except ValueError as error:
            number += 1
            yield BadRow(Source(path, number), f"an article cannot be read: {error}")
            continue
        whole = PARAGRAPH_END.join(context for context, _ in paragraphs) if whole_articles else None
        first = 0
        for context, questions in paragraphs:
            for question in questions:
                number += 1
                source = Source(path, number)
                try:
                    yield _example(question, context, source, whole, first)
                except ValueError as error:
                    yield BadRow(source, str(error))
            first += len(context) + len(PARAGRAPH_END)


def find_answer(context: str, text: str, start: Any) -> int:
    """The first code point of an answer: where it is said to be, or the one place where its text stands.

    Args:
        context: the text that holds the answer.
        text: the answer.
        start: its place; None or negative where nobody said it.

    Raises:
        ValueError: the answer is blank or does not stand there; without a place, it stands nowhere or in several.
    """
    if not text.strip():
        raise ValueError("an answer is blank")
    if start is None or (isinstance(start, int) and start < 0):
        first = context.find(text)
        if first < 0:
            raise ValueError(f"the answer {shorten(text)} does not stand in its context")
        if context.find(text, first + 1) >= 0:
            raise ValueError(f"the answer {shorten(text)} has no place and stands in its context more than once")
        return first
    if not isinstance(start, int) or isinstance(start, bool):
        raise ValueError(f"the place of an answer must be a whole number, got {shorten(start)}")
    if not context.startswith(text, start):
        found = context[start : start + len(text)]
        raise ValueError(
            f"the answer {shorten(text)} does not stand at {start}, where its context has {shorten(found)}"
        )
    return start


def _example(question: Any, context: str, source: Source, whole: str | None, first: int) -> QuestionExample:
    text = get_text(question, "question")
    impossible = question.get("is_impossible")
    answers = []
    for answer in get_list(question, "answers") if question.get("answers") is not None else []:
        gold = get_text(answer, "text")
        answers.append((gold, find_answer(context, gold, answer.get("answer_start")) + (0 if whole is None else first)))
    if impossible and answers:
        raise ValueError("the question is marked as impossible, but has an answer")
    if impossible is False and not answers:
        raise ValueError("the question is marked as possible, but has no answer")
    return QuestionExample(
        id=get_id(question, "id", source),
        source=source,
        question=text,
        context=context if whole is None else whole,
        answers=tuple(answers),
        answerable=False if impossible else True if answers else None,
    )
