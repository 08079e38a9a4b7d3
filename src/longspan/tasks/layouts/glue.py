"""GLUE's files as they are published: tab-separated, unquoted, each task with columns of its own.

Wang et al. 2018, https://arxiv.org/abs/1804.07461. Test files have no labels; only CoLA's other files lack a header.
"""

from __future__ import annotations

from collections.abc import Iterator

from longspan.tasks.examples import BadRow, TextExample
from longspan.tasks.layouts.columns import Columns, read_columns
from longspan.tasks.tables import first_line

GLUE = {
    "cola": Columns("sentence", id="index"),
    "mrpc": Columns("#1 String", "#2 String", "Quality", id="index"),
    "rte": Columns("sentence1", "sentence2", id="index"),
    "sst-2": Columns("sentence", id="index"),
    "sts-b": Columns("sentence1", "sentence2", "score", id="index"),
    "wnli": Columns("sentence1", "sentence2", id="index"),
}
"""Layout -> its columns."""

GLUE_METRICS = {
    "cola": "matthews",
    "mrpc": "f1",
    "rte": "accuracy",
    "sst-2": "accuracy",
    "sts-b": "spearman",
    "wnli": "accuracy",
}
"""Layout -> the score that is reported of it, a key of ``label_scores.SCORES``; of MRPC the accuracy too."""

_COLA = ("source", "label", "star", "sentence")
_COLA_TEST = ("index", "sentence")
_MRPC = ("#1 ID", "#2 ID", "#1 String", "#2 String")
_PAIR = ("sentence1", "sentence2")
_STS_B = ("index", "genre", "filename", "year", "old_index", "source1", "source2", *_PAIR)
_HEADERS = {
    "rte": (("index", *_PAIR, "label"), ("index", *_PAIR)),
    "sts-b": ((*_STS_B, "score"), _STS_B),
    "mrpc": (("Quality", *_MRPC), ("index", *_MRPC)),
    "sst-2": (("sentence", "label"), _COLA_TEST),
}
"""Layout -> all columns of its files, with labels and without; WNLI's are those of RTE."""


def read_glue(path: str, layout: str) -> Iterator[TextExample | BadRow]:
    """The examples of one file; ``layout`` is a key of ``GLUE``. STS-B's labels are numbers from 0 to 5 as text.

    Raises:
        DataError: the file is empty or has other columns.
        OSError: it cannot be opened.
    """
    bare = layout == "cola" and first_line(path) != "\t".join(_COLA_TEST)
    yield from read_columns(path, GLUE[layout], _COLA if bare else None)


def recognise_glue(first: str) -> str | None:
    """The layout whose files begin with this very line; "rte" also for WNLI's, which look the same."""
    fields = tuple(first.split("\t"))
    for layout, headers in _HEADERS.items():
        if fields in headers:
            return layout
    if len(fields) == len(_COLA) and fields[1] in ("0", "1") and fields[2] in ("", "*"):
        return "cola"
    return None
