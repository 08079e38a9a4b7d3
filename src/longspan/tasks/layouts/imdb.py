"""IMDb reviews (Maas et al. 2011, https://aclanthology.org/P11-1015): JSON lines, or folders of text files.

The published folders ``train`` and ``test`` hold a file for each review in ``pos`` and ``neg``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from longspan.tasks.examples import BadRow, DataError, Source, TextExample
from longspan.tasks.files import read_text
from longspan.tasks.layouts.columns import Columns, read_columns

LABELS = ("neg", "pos")


def read_imdb(path: str) -> Iterator[TextExample | BadRow]:
    """The reviews, labels "neg" and "pos"; a file's id is for example "pos/0_9". A rating is not read.

    Raises:
        DataError: the table is empty or lacks the column ``text``; or no review is in the folder.
        OSError: it cannot be opened.
    """
    if not Path(path).is_dir():
        yield from read_columns(path, Columns())
        return
    found = False
    for label in LABELS:
        for file in sorted(Path(path, label).glob("*.txt")):
            found = True
            try:
                text = read_text(str(file))
            except DataError as error:
                place = str(error).removeprefix(f"{file}:")
                yield BadRow(Source(str(file)), place.strip() if place.startswith(" ") else f"line {place}")
            else:
                yield TextExample(f"{label}/{file.stem}", Source(str(file)), text, label=label)
    if not found:
        raise DataError(f"{path}: no review in the folders pos and neg")


def holds_imdb(path: str) -> bool:
    """Whether a path is a folder of reviews."""
    return all(Path(path, label).is_dir() for label in LABELS)
