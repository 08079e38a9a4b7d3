"""The files of each experiment, from ``$LONGSPAN_DATA``: as published, or the parts of a split that is made here.

GLUE's test files have no labels: its development files are the test, and validation is held out of its training file.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from longspan.tasks.examples import keep_good
from longspan.tasks.files import read_json
from longspan.tasks.layouts.hyperpartisan import read_hyperpartisan

from .splits import split

GLUE = {"cola": "CoLA", "mrpc": "MRPC", "rte": "RTE", "sst-2": "SST-2", "sts-b": "STS-B", "wnli": "WNLI"}
"""Layout -> folder."""

SQUAD_VALIDATION, SQUAD_TEST = 4, 10
"""Articles of SQuAD's development set that are for validation and for test; 34 are for training."""


@dataclass(frozen=True)
class Parts:
    """Files of one experiment.

    Attributes:
        train, test: files or folders.
        validation: the same; None where the recipe holds a share of ``train`` out.
        layout: of all of them; None to go by the files.
    """

    train: Path
    test: Path
    validation: Path | None = None
    layout: str | None = None


def data_folder() -> Path:
    """The folder ``$LONGSPAN_DATA``.

    Raises:
        ValueError: the variable is not set, or is no folder.
    """
    folder = os.environ.get("LONGSPAN_DATA")
    if not folder or not Path(folder).is_dir():
        raise ValueError(f"LONGSPAN_DATA must name the folder of the data sets, got {folder!r}")
    return Path(folder)


def prepare(name: str, made: Path, seed: int = 0) -> Parts:
    """The files of the experiment ``name``, a key of ``SOURCES``.

    Args:
        name: of the experiment.
        made: folder for files that are unpacked or split; they are written again each time.
        seed: of the split, where the experiment has several.

    Raises:
        ValueError: there is no such experiment or no data.
        OSError: a file cannot be read or written.
    """
    if name not in SOURCES:
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(SOURCES)}")
    return SOURCES[name](data_folder(), made, seed)


def _imdb(data: Path, made: Path, seed: int) -> Parts:
    return Parts(data / "imdb/train.jsonl.xz", data / "imdb/test.jsonl.xz")


def _wnut17(data: Path, made: Path, seed: int) -> Parts:
    folder = data / "wnut17"
    names = ("wnut17train.conll.xz", "emerging.test.annotated.xz", "emerging.dev.conll.xz")
    return Parts(*(folder / name for name in names))


def _contract_nli(data: Path, made: Path, seed: int) -> Parts:
    folder = data / "contract-nli"
    return Parts(*(folder / f"{part}.json.xz" for part in ("train_truncated", "test", "dev")), layout="contract-nli")


def _glue(layout: str, data: Path, made: Path, seed: int) -> Parts:
    folder = made / "glue" / GLUE[layout]
    with tarfile.open(data / "glue.tar.xz") as archive:
        for part in ("train", "dev"):
            packed = archive.extractfile(f"./{GLUE[layout]}/{part}.tsv")
            assert packed is not None, "a file of the archive, not a folder"
            _write(folder / f"{part}.tsv", packed.read())
    return Parts(folder / "train.tsv", folder / "dev.tsv", layout=layout)


def _hyperpartisan(data: Path, made: Path, seed: int) -> Parts:
    articles = list(keep_good(read_hyperpartisan(str(data / "hyperpartisan"))))
    tenth = len(articles) // 10
    folder = made / f"hyperpartisan-{seed}"
    parts = split(articles, tenth, tenth, f"hyperpartisan {seed}")
    rows = [[{"id": x.id, "text": x.text, "label": x.label} for x in part] for part in parts]
    files = [_write_lines(folder / f"{x}.jsonl", r) for x, r in zip(("train", "validation", "test"), rows, strict=True)]
    return Parts(files[0], files[2], files[1], layout="table")


def _squad(data: Path, made: Path, seed: int) -> Parts:
    """One split of the articles, whatever the seed: ten that no run has seen."""
    articles = read_json(str(data / "squad/dev-v1.1.rebuilt.json.xz"))["data"]
    parts = split(articles, SQUAD_VALIDATION, SQUAD_TEST, "squad-articles")
    folder = made / "squad-articles"
    files = []
    for name, part in zip(("train", "validation", "test"), parts, strict=True):
        files.append(_write(folder / f"{name}.json", json.dumps({"version": "1.1", "data": part}).encode()))
    return Parts(files[0], files[2], files[1], layout="squad-articles")


def _write_lines(path: Path, rows: Iterable[Any]) -> Path:
    return _write(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _write(path: Path, content: bytes) -> Path:
    """Write a file at once: another run may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    return partial.replace(path)


SOURCES: dict[str, Callable[[Path, Path, int], Parts]] = {
    "imdb": _imdb,
    "hyperpartisan": _hyperpartisan,
    "contract-nli": _contract_nli,
    "squad-articles": _squad,
    **{layout: partial(_glue, layout) for layout in GLUE},
    "wnut17": _wnut17,
}
"""Name of an experiment -> its files."""
