"""HotpotQA: questions over several paragraphs, with the sentences that support the answer.

``[{"_id", "question", "answer", "context": [[title, [sentence, ...]], ...], "supporting_facts": [[title, number of
sentence], ...]}]``; neither ``answer`` nor ``supporting_facts`` in a test set. A form with the two supporting
paragraphs apart (``title_a``, ``para_a``, ``title_b``, ``para_b``, ``distractors``) is read too, its paragraphs in the
order of their titles. Answers are spans, "yes" or "no": these two words stand first in every context, so that they are
spans as well.

Source: Yang, Qi, Zhang, Bengio, Cohen, Salakhutdinov, Manning: HotpotQA: A Dataset for Diverse, Explainable Multi-hop
Question Answering, 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from longspan.tasks.examples import BadRow, QuestionExample, Source
from longspan.tasks.layouts.fields import get_id, get_list, get_text, get_texts, read_entries, shorten
from longspan.tasks.layouts.mentions import find_mentions

YES_NO = "yes no"
"""What every context begins with."""


def read_hotpotqa(path: str, support_first: bool = False) -> Iterator[QuestionExample | BadRow]:
    """The questions of a file, in their order; the place of one is its number in the file.

    An answer stands where its text stands in a supporting sentence or a supporting paragraph's title; wherever it
    stands, where it stands in none of these.

    Args:
        path: the JSON file.
        support_first: the supporting sentences, where they are known, stand once more before the paragraphs.

    Raises:
        DataError: the file is no JSON, or not of this layout.
        OSError: it cannot be opened.
    """
    for source, entry in read_entries(path, "HotpotQA"):
        try:
            yield _example(entry, source, support_first)
        except ValueError as error:
            yield BadRow(source, str(error))


def _example(entry: Any, source: Source, support_first: bool) -> QuestionExample:
    question = get_text(entry, "question")
    if "context" not in entry and "para_a" in entry:
        entry = {**entry, **_join_apart(entry)}
    paragraphs = _paragraphs(entry)
    support = _support(entry, paragraphs)
    context, places = _join(paragraphs, support, support_first)
    answer = get_text(entry, "answer") if entry.get("answer") is not None else None
    found = [] if answer is None else _places(answer, context, places)
    answers: tuple[tuple[str, int | None], ...] = tuple((context[start:end], start) for start, end in found)
    return QuestionExample(
        id=get_id(entry, "_id", source),
        source=source,
        question=question,
        context=context,
        # An answer that stands nowhere cannot be learnt, but it can be scored.
        answers=answers if found or answer is None else ((answer, None),),
        answerable=None if answer is None else True,
    )


def _join_apart(entry: Any) -> dict[str, Any]:
    """The fields ``context`` and ``supporting_facts`` of an entry whose supporting paragraphs are apart."""
    titles = [get_text(entry, f"title_{name}") for name in "ab"]
    pairs = [[title, get_list(entry, f"para_{name}")] for title, name in zip(titles, "ab", strict=True)]
    # Distractors carry the score with which they were found.
    context = [p[:2] if isinstance(p, list) else p for p in (*pairs, *get_list(entry, "distractors"))]
    facts = get_list(entry, "supporting_facts") if entry.get("supporting_facts") is not None else [[], []]
    if len(facts) != 2 or not all(isinstance(numbers, list) for numbers in facts):
        raise ValueError(f"'supporting_facts' must hold two lists of numbers of sentences, got {shorten(facts)}")
    return {
        # The supporting ones shall not be known by their place.
        "context": sorted(context, key=str),
        "supporting_facts": [[title, i] for title, numbers in zip(titles, facts, strict=True) for i in numbers],
    }


def _paragraphs(entry: Any) -> list[tuple[str, tuple[str, ...]]]:
    paragraphs = []
    for paragraph in get_list(entry, "context"):
        if not isinstance(paragraph, list) or len(paragraph) != 2 or not isinstance(paragraph[0], str):
            raise ValueError(f"'context' must hold pairs of a title and its sentences, it holds {shorten(paragraph)}")
        paragraphs.append((paragraph[0], get_texts({"sentences": paragraph[1]}, "sentences")))
    if not paragraphs:
        raise ValueError("'context' has no paragraph")
    return paragraphs


def _support(entry: Any, paragraphs: list[tuple[str, tuple[str, ...]]]) -> set[tuple[str, int]]:
    """(title, number of sentence) of the supporting sentences."""
    support = set()
    sizes = {title: len(sentences) for title, sentences in paragraphs}
    for fact in get_list(entry, "supporting_facts") if entry.get("supporting_facts") is not None else []:
        if not isinstance(fact, list) or len(fact) != 2 or not isinstance(fact[1], int):
            raise ValueError(f"'supporting_facts' must hold pairs of a title and a number, it holds {shorten(fact)}")
        if fact[0] not in sizes:
            raise ValueError(f"the supporting paragraph {shorten(fact[0])} is not in the context")
        # The published files name a few sentences that their paragraphs do not have.
        if 0 <= fact[1] < sizes[fact[0]]:
            support.add((fact[0], fact[1]))
    return support


def _join(
    paragraphs: list[tuple[str, tuple[str, ...]]], support: set[tuple[str, int]], support_first: bool
) -> tuple[str, list[tuple[int, int]]]:
    """The context, and the places of what supports the answer in it."""
    titles = {title for title, _ in support}
    pieces: list[tuple[str, bool]] = [(YES_NO, False)]
    if support_first and support:
        pieces.append(("\n", False))
        for title, sentences in paragraphs:
            pieces += [(text, True) for i, text in enumerate(sentences) if (title, i) in support]
    for title, sentences in paragraphs:
        pieces += [("\n\n", False), (title, title in titles), ("\n", False)]
        pieces += [(text, (title, i) in support) for i, text in enumerate(sentences)]
    places, place = [], 0
    for text, supports in pieces:
        if supports:
            places.append((place, place + len(text)))
        place += len(text)
    return "".join(text for text, _ in pieces), places


def _places(answer: str, context: str, support: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if answer in YES_NO.split():
        start = YES_NO.index(answer)
        return [(start, start + len(answer))]
    found = find_mentions(context, [answer])
    inside = [(start, end) for start, end in found if any(a <= start and end <= b for a, b in support)]
    return inside or [place for place in found if place[0] >= len(YES_NO)]
