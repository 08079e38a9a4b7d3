"""The layouts of questions with answers in a document, by name or by what a file holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from longspan.tasks.examples import BadRow, DataError, QuestionExample
from longspan.tasks.files import read_json
from longspan.tasks.layouts.hotpotqa import read_hotpotqa
from longspan.tasks.layouts.question_rows import read_question_rows
from longspan.tasks.layouts.squad import read_squad
from longspan.tasks.layouts.triviaqa import read_triviaqa
from longspan.tasks.tables import suffix_of

LAYOUTS: dict[str, Callable[[str], Iterator[QuestionExample | BadRow]]] = {
    "table": read_question_rows,
    "squad": read_squad,
    "squad-articles": partial(read_squad, whole_articles=True),
    "triviaqa": read_triviaqa,
    "hotpotqa": read_hotpotqa,
    "hotpotqa-support": partial(read_hotpotqa, support_first=True),
}
"""Name -> reader."""


def read_questions(path: str, layout: str | None = None) -> Iterator[QuestionExample | BadRow]:
    """The questions of a file or folder.

    Args:
        path: the file or folder.
        layout: one of ``LAYOUTS``; None for :func:`guess_layout`.

    Raises:
        DataError: there is no such layout, or the file is not of it.
        OSError: it cannot be opened.
    """
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"{path}: there is no layout {layout!r} of questions; there are {', '.join(LAYOUTS)}")
    yield from LAYOUTS[layout or guess_layout(path)](path)


def guess_layout(path: str) -> str:
    """The layout of a file by its suffix and, of JSON, by its first entry.

    Raises:
        DataError: it is of another task.
        OSError: it cannot be opened.
    """
    if suffix_of(path) != ".json":
        return "table"
    try:
        content = read_json(path)
    except DataError:
        return "table"  # JSON lines, or a fault that the reader of rows names
    if isinstance(content, Mapping):
        return "triviaqa" if "Data" in content else "squad" if "data" in content else "table"
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, Mapping):
        if "candidates" in first and "supports" in first:
            raise DataError(f"{path}: in the layout of WikiHop, which the task 'wikihop' reads")
        if "_id" in first and (isinstance(first.get("context"), list) or "para_a" in first):
            return "hotpotqa"
    return "table"
