"""Texts with labels from the columns of any table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from longspan.tasks.examples import BadRow, Source, TextExample
from longspan.tasks.faults import describe
from longspan.tasks.labels import read_label
from longspan.tasks.tables import read_tables


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes:
        text: has to be there.
        text_pair: the second text; None if there is none.
        label: may be absent: then nothing is known.
        id: may be absent: then a row is called by its place.
        separator: what stands between several class names in one field; None where a field is one name.
    """

    text: str = "text"
    text_pair: str | None = None
    label: str = "label"
    id: str = "id"
    separator: str | None = None

    def chosen(self) -> dict[str, str | None]:
        """What is other than by default: somebody named the columns of a table."""
        return {name: value for name, value in asdict(self).items() if value != getattr(Columns, name)}

    def required(self) -> list[str]:
        """The columns without which a row says nothing."""
        return [self.text] if self.text_pair is None else [self.text, self.text_pair]


def read_columns(path: str, columns: Columns, names: Sequence[str] | None = None) -> Iterator[TextExample | BadRow]:
    """The rows of a table (see :func:`~longspan.tasks.tables.read_tables`) as texts with labels."""
    for row in read_tables(path, columns.required(), names):
        if isinstance(row, BadRow):
            yield row
            continue
        source, fields = row
        try:
            text = _text(fields, columns.text)
            text_pair = None if columns.text_pair is None else _text(fields, columns.text_pair)
            label = read_label(fields.get(columns.label), columns.separator)
        except ValueError as error:
            yield BadRow(source, str(error))
        else:
            yield TextExample(row_id(fields, source, columns.id), source, text, text_pair, label)


def row_id(fields: Mapping[str, Any], source: Source, column: str = "id") -> str:
    """A row's own id, else its place."""
    value = fields.get(column)
    return str(value) if isinstance(value, (str, int)) and value != "" else str(source)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise ValueError(f"{name!r} must be text, this is {describe(value)}")
    return value
