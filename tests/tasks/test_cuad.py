"""CUAD: the committed split, and all 510 contracts where the data is there."""

import os
import re
from pathlib import Path

import pytest

from longspan.tasks.cuad import (
    CATEGORIES,
    PARTS,
    contract_key,
    data_folder,
    part_of,
    read_clauses,
    read_contracts,
    read_split,
)

DATA = Path(os.environ.get("LONGSPAN_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "cuad"
needs_cuad = pytest.mark.skipif(
    not (DATA / "master_clauses.csv.xz").is_file(), reason=f"no CUAD in {DATA}; set LONGSPAN_DATA to the data folder"
)


@pytest.fixture(scope="module")
def contracts():
    return read_contracts(DATA)


def test_the_committed_split_is_the_rule():
    split = read_split()
    assert {part: len(names) for part, names in split.items()} == {"train": 408, "validation": 52, "test": 50}
    for part in PARTS:
        assert all(part_of(name) == part for name in split[part])
    assert len({name for names in split.values() for name in names}) == 510


def test_names_of_both_files_meet():
    assert contract_key("A & B's, Inc_EX-1 (1).txt") == contract_key("A  Bs, Inc_EX-1 (1).PDF ")
    assert contract_key("LECLANCHÉ S.A..txt") == contract_key("LECLANCHE S.A. .pdf")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        data_folder(tmp_path)


@needs_cuad
def test_all_contracts_pair_and_follow_the_split(contracts):
    split = read_split()
    assert len(contracts) == 510
    assert {part: sorted(c.name for c in contracts if c.part == part) for part in PARTS} == {
        part: sorted(names) for part, names in split.items()
    }


@needs_cuad
def test_every_marked_string_is_found_and_slices_back(contracts):
    marked = sum(len([s for s in strings if s]) for row in read_clauses(DATA).values() for strings in row.values())
    found = sum(len(c.passages) for c in contracts)
    # The seven others are listed more often than they stand in their text.
    assert (marked, found) == (13831, 13824)
    clauses = read_clauses(DATA)
    squeezed = re.compile(r"[\W_]+")
    for c in contracts[::10]:
        row = clauses[contract_key(c.name)]
        for p in c.passages:
            piece = squeezed.sub("", c.text[p.start : p.end]).lower()
            assert piece in {squeezed.sub("", s).lower() for s in row[p.category]}


@needs_cuad
def test_omitted_splits_a_passage(contracts):
    row = {c: s for c, s in read_clauses(DATA).items() if any("<omitted>" in x for v in s.values() for x in v)}
    assert row == {}
    assert not any("<omitted>" in c.text[p.start : p.end] for c in contracts for p in c.passages)


@needs_cuad
def test_the_twelve_categories_are_common_enough(contracts):
    for category in CATEGORIES:
        for part in PARTS:
            assert sum(p.category == category for c in contracts if c.part == part for p in c.passages) >= 19
