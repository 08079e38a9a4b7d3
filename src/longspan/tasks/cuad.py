"""CUAD v1: 510 commercial contracts in which lawyers marked 41 kinds of clause (The Atticus Project, CC BY 4.0).

The data folder holds ``full_contract_txt.jsonl.xz`` (one object a line, ``file`` and ``text``) and
``master_clauses.csv.xz`` (a row a contract; per category one column with the marked strings as a Python list). The
table has no offsets: `locate` finds them. A string with ``<omitted>`` is several passages.

Source: Hendrycks, Burns, Chen, Ball: CUAD: An Expert-Annotated NLP Dataset for Legal Contract Review, 2021.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import lzma
import os
import re
import sys
import unicodedata
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from longspan.tasks.locate import Searcher
from longspan.tasks.passages import Passage

CATEGORIES = (
    "Document Name",
    "Parties",
    "Agreement Date",
    "Effective Date",
    "Expiration Date",
    "Renewal Term",
    "Governing Law",
    "Anti-Assignment",
    "Cap On Liability",
    "License Grant",
    "Audit Rights",
    "Insurance",
)
"""The categories of the shipped model, fixed before it was trained."""

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Contract:
    """A contract, its part of the split and its marked passages (all 41 categories, sorted by start)."""

    name: str
    part: str
    text: str
    passages: tuple[Passage, ...]


def data_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """The folder with CUAD's two files: the argument, else ``$LONGSPAN_DATA/cuad``, else ``../shared/data/cuad``.

    Raises:
        FileNotFoundError: naming the folder and the file that is missing.
    """
    if folder is None:
        folder = Path(os.environ.get("LONGSPAN_DATA", "../shared/data")) / "cuad"
    path = Path(folder)
    for name in ("full_contract_txt.jsonl.xz", "master_clauses.csv.xz"):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"{path} holds no {name}; give the folder, or set LONGSPAN_DATA to the one above it"
            )
    return path


def part_of(name: str) -> str:
    """The part of a contract by its file name: md5 modulo 10; 0 is test, 1 validation, the rest train."""
    digit = int(hashlib.md5(name.encode("utf-8"), usedforsecurity=False).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(digit, "train")


def read_split() -> dict[str, list[str]]:
    """The committed list of file names of each part."""
    return json.loads((files("longspan.tasks") / "cuad_split.json").read_text(encoding="utf-8"))


def read_texts(folder: Path) -> dict[str, str]:
    """File name -> text of every contract, in the order of the file."""
    with lzma.open(folder / "full_contract_txt.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["file"]: row["text"] for row in rows}


def read_clauses(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Contract key (`contract_key`) -> category -> marked strings, split at ``<omitted>``."""
    csv.field_size_limit(sys.maxsize)
    with lzma.open(folder / "master_clauses.csv.xz", "rt", encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    categories = [c for c in rows[0] if c != "Filename" and not re.search(r"-\s*Answer$", c)]
    clauses = {}
    for row in rows:
        clauses[contract_key(row["Filename"])] = {
            category: [part.strip() for s in ast.literal_eval(row[category] or "[]") for part in s.split("<omitted>")]
            for category in categories
        }
    return clauses


def contract_key(name: str) -> str:
    """What the two files' names of one contract share: unaccented letters and digits, without the file type."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"(txt|pdf)$", "", re.sub(r"[^a-z0-9]", "", plain))


def read_contracts(folder: str | os.PathLike[str] | None = None) -> list[Contract]:
    """All 510 contracts with their passages; takes some seconds.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: a contract has no row in the table.
    """
    path = data_folder(folder)
    clauses = read_clauses(path)
    contracts = []
    for name, text in read_texts(path).items():
        key = contract_key(name)
        if key not in clauses:
            raise ValueError(f"master_clauses.csv.xz has no row for {name!r}")
        searcher = Searcher(text)
        passages = [
            Passage(category, start, end)
            for category, strings in clauses[key].items()
            for start, end in searcher.locate(filter(None, strings))
        ]
        passages.sort(key=lambda p: (p.start, p.end))
        contracts.append(Contract(name, part_of(name), text, tuple(passages)))
    return contracts
