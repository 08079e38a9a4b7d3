"""TriviaQA: questions, aliases of their answers, and evidence documents in files of their own.

``{"Domain": "Web" or "Wikipedia", "Data": [{"QuestionId", "Question", "Answer": {"NormalizedAliases", "Aliases",
"HumanAnswers"}, "EntityPages": [{"Filename"}], "SearchResults": [{"Filename"}]}]}``. Documents of ``EntityPages`` are
in ``evidence/wikipedia``, those of ``SearchResults`` in ``evidence/web``, as the published archive has them.

In the domain Web each document with its question is an example, with the id ``QuestionId--Filename``; in the domain
Wikipedia a question with all its documents, one after the other, is one. The evaluator counts the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longspan.tasks.examples import BadRow, DataError, QuestionExample, Source
from longspan.tasks.files import read_json, read_text
from longspan.tasks.layouts.fields import get_id, get_list, get_text, get_texts
from longspan.tasks.layouts.mentions import find_mentions

DOCUMENT_END = "\n\n"
"""What stands between the documents of a question."""

_PLACES = (("EntityPages", "wikipedia"), ("SearchResults", "web"))


@dataclass(frozen=True)
class TriviaExample(QuestionExample):
    """A question whose answer is known by its names, not by its places.

    Attributes:
        answers: every place where one of the names stands; the names without a place where none does.
        aliases: the names that are right.
    """

    aliases: tuple[str, ...] = ()


def read_triviaqa(path: str, evidence: str | None = None) -> Iterator[TriviaExample | BadRow]:
    """The questions of a file in TriviaQA's layout, in their order; the place of one is its number in the file.

    Args:
        path: the JSON file with the questions.
        evidence: folder of the documents; by default ``evidence`` beside the file or beside its folder.

    Raises:
        DataError: the file is no JSON, or not of this layout; there is no such folder.
        OSError: it cannot be opened.
    """
    content = read_json(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("Data"), list):
        raise DataError(f'{path}: not in the layout of TriviaQA: an object with a list "Data" is wanted')
    folder = Path(evidence) if evidence is not None else find_evidence(path)
    joined = content.get("Domain") == "Wikipedia"
    for number, entry in enumerate(content["Data"], start=1):
        source = Source(path, number)
        try:
            question, key = get_text(entry, "Question"), get_id(entry, "QuestionId", source)
            aliases, names = _names(entry)
            documents = list(_documents(entry, folder))
        except ValueError as error:
            yield BadRow(source, str(error))
            continue
        if joined:
            yield _example(key, source, question, documents, aliases, names)
        else:
            for document in documents:
                yield _example(f"{key}--{document[0]}", source, question, [document], aliases, names)


def find_evidence(path: str) -> Path:
    """The folder ``evidence`` that belongs to a file with questions.

    Raises:
        DataError: there is none.
    """
    places = [Path(path).absolute().parent / "evidence", Path(path).absolute().parent.parent / "evidence"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError(f"{path}: there is no folder with the documents; looked for {' and '.join(map(str, places))}")
    return found


def _names(entry: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The aliases that are right, and all names by which places are found; both empty in a test set."""
    answer = entry.get("Answer")
    if answer is None:
        return (), ()
    human = get_texts(answer, "HumanAnswers") if answer.get("HumanAnswers") else ()
    aliases = get_texts(answer, "Aliases") if answer.get("Aliases") else ()
    normalized = get_texts(answer, "NormalizedAliases") if answer.get("NormalizedAliases") else ()
    right = (normalized or aliases) + human
    if not right:
        raise ValueError("the answer has no alias")
    return right, aliases + normalized + human


def _documents(entry: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each document of a question."""
    count = 0
    for field, place in _PLACES:
        for document in get_list(entry, field) if entry.get(field) is not None else []:
            count += 1
            name = get_text(document, "Filename")
            try:
                yield name, read_text(str(folder / place / name))
            except OSError as error:
                raise ValueError(f"the document {name!r} cannot be read: {error}") from None
    if count == 0:
        raise ValueError("the question has no document")


def _example(
    key: str,
    source: Source,
    question: str,
    documents: list[tuple[str, str]],
    aliases: tuple[str, ...],
    names: tuple[str, ...],
) -> TriviaExample:
    context = DOCUMENT_END.join(text for _, text in documents)
    places = find_mentions(context, names)
    return TriviaExample(
        id=key,
        source=source,
        question=question,
        context=context,
        answers=tuple((context[start:end], start) for start, end in places) or tuple((name, None) for name in aliases),
        answerable=True if aliases else None,
        aliases=aliases,
    )
