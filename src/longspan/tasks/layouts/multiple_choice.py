"""Rows of multiple choice: our own, SWAG's and CommonsenseQA's, from any table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from longspan.tasks.examples import BadRow, ChoiceExample, DataError, Source
from longspan.tasks.faults import describe, lacking
from longspan.tasks.layouts.columns import row_id
from longspan.tasks.tables import read_tables

Fields = Mapping[str, Any]
Found = tuple[str, list[str], int | None]
"""Prompt, choices, number of the right one."""


def read_choices(path: str, layout: str | None = None) -> Iterator[ChoiceExample | BadRow]:
    """The rows of a table (see :func:`~longspan.tasks.tables.read_tables`).

    Args:
        path: a table.
        layout: a key of ``LAYOUTS``, or None to go by the columns of the first good row.

    Raises:
        DataError: the table has none of these layouts, or is empty.
        OSError: it cannot be opened.
    """
    for row in read_tables(path, LAYOUTS[layout][0] if layout else ()):
        if isinstance(row, BadRow):
            yield row
            continue
        source, fields = row
        layout = layout or _recognise(source, fields)
        columns, read = LAYOUTS[layout]
        fault = lacking(columns, fields)
        try:
            if fault:
                raise ValueError(fault)
            yield _example(source, fields, *read(fields))
        except ValueError as error:
            yield BadRow(source, str(error))


def _example(source: Source, fields: Fields, prompt: str, choices: list[str], label: int | None) -> ChoiceExample:
    if not prompt.strip():
        raise ValueError("the prompt is empty")
    if len(choices) < 2:
        raise ValueError(f"two choices are wanted at least, there are {len(choices)}")
    if not all(choice.strip() for choice in choices):
        raise ValueError("a choice is empty")
    if label is not None and not 0 <= label < len(choices):
        raise ValueError(f"the label must be from 0 to {len(choices) - 1}, this is {label}")
    return ChoiceExample(row_id(fields, source), source, prompt, tuple(choices), label)


def _read_ours(fields: Fields) -> Found:
    prompt, choices, label = _text(fields["prompt"], "prompt"), _texts(fields["choices"]), fields.get("label")
    if isinstance(label, str) and label:
        if choices.count(label) != 1:
            raise ValueError(f"the label must be a number, or the text of one of the choices, this is {label!r}")
        return prompt, choices, choices.index(label)
    return prompt, choices, _number(label)


def _read_swag(fields: Fields) -> Found:
    """The endings go on from the beginning of the second sentence."""
    endings = [_text(fields[f"ending{i}"], f"ending{i}") for i in range(4)]
    start = _text(fields["sent2"], "sent2")
    choices = [f"{start} {ending}".strip() for ending in endings]
    return _text(fields["sent1"], "sent1"), choices, _number(fields.get("label"))


def _read_commonsense(fields: Fields) -> Found:
    """As published, with all of it inside ``question``, or flat, as ``datasets`` has it."""
    question: Any = fields["question"]
    choices: Any = fields.get("choices")
    if isinstance(question, dict):
        question, choices = question.get("stem"), question.get("choices")
    if isinstance(choices, dict):
        names, texts = choices.get("label"), choices.get("text")
    elif isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices):
        names, texts = ([choice.get(key) for choice in choices] for key in ("label", "text"))
    else:
        raise ValueError("'choices' must hold 'label' and 'text'")
    texts = _texts(texts)
    if not isinstance(names, list) or len(names) != len(texts):
        raise ValueError("each of the 'choices' must have a 'label' and a 'text'")
    key = fields.get("answerKey")
    if key in (None, ""):
        return _text(question, "question"), texts, None
    if key not in names:
        raise ValueError(f"'answerKey' must be one of {', '.join(map(str, names))}, this is {key!r}")
    return _text(question, "question"), texts, names.index(key)


LAYOUTS: dict[str, tuple[tuple[str, ...], Callable[[Fields], Found]]] = {
    "table": (("prompt", "choices"), _read_ours),
    "swag": (("sent1", "sent2", "ending0", "ending1", "ending2", "ending3"), _read_swag),
    "commonsenseqa": (("question",), _read_commonsense),
}
"""Layout -> the columns that its rows must have, and how one is read."""


def _recognise(source: Source, fields: Fields) -> str:
    for layout in ("swag", "table", "commonsenseqa"):
        if lacking(LAYOUTS[layout][0], fields) is None:
            return layout
    raise DataError(f"{source}: no layout of multiple choice, {lacking(LAYOUTS['table'][0], fields)}")


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name!r} must be text, this is {describe(value)}")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"'choices' must be a list of texts, this is {describe(value)}")
    return [_text(item, "choices") for item in value]


def _number(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not float(value).is_integer():
            raise ValueError
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"the label must be the number of a choice, counted from 0, this is {value!r}") from None
