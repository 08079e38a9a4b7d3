"""Features on disk: what was written comes back, from whole files only, and memory stays flat."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.train.features import ROWS_AT_ONCE, FeatureTable, write_features
from tests._support import run_python

values = st.fixed_dictionaries(
    {
        "input_ids": st.lists(st.integers(-100, 2**31), max_size=5),
        "choices": st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=3),
        "label": st.one_of(st.none(), st.integers(0, 3)),
        "weight": st.floats(allow_nan=False),
        "text": st.text(max_size=4),
        "spans": st.lists(st.lists(st.integers(0, 2**40), min_size=2, max_size=2), max_size=2),
    }
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(values, min_size=1, max_size=6), copies=st.integers(1, 40))
def test_rows_come_back(rows, copies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "train"
    rows = [row for row in rows for _ in range(copies)]
    write_features(iter(rows), folder)
    table = FeatureTable(folder)
    assert len(table) == len(rows)
    assert list(table) == rows
    assert table[1:3] == rows[1:3]


def test_a_later_row_may_need_a_wider_type(tmp_path):
    rows = [{"x": None, "ids": []} for _ in range(ROWS_AT_ONCE)]
    rows += [{"x": 1, "ids": [i]} for i in range(ROWS_AT_ONCE + 3)]
    rows += [{"x": 2**40, "ids": [2**40]} for _ in range(ROWS_AT_ONCE)]
    write_features(iter(rows), tmp_path / "train")
    table = FeatureTable(tmp_path / "train")
    assert [table[i] for i in reversed(range(len(rows)))] == rows[::-1]
    with pytest.raises(IndexError, match=f"row {len(rows)} of {len(rows)}"):
        table[len(rows)]


def test_what_is_known_at_the_end_is_kept(tmp_path):
    about = {}

    def rows():
        yield {"x": 1}
        about["skipped"] = 3

    write_features(rows(), tmp_path / "train", about)
    assert FeatureTable(tmp_path / "train").about == {"skipped": 3}


@pytest.mark.parametrize("rows", [[{"x": 1}, {"y": 1}], [{"x": 1}] * ROWS_AT_ONCE + [{"x": "one"}]])
def test_rows_that_do_not_fit_leave_nothing(rows, tmp_path):
    with pytest.raises(ValueError, match=r"same keys|do not fit"):
        write_features(iter(rows), tmp_path / "train")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_in_the_last_row_leaves_nothing(tmp_path):
    def rows():
        yield from ({"x": i} for i in range(1000))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        write_features(rows(), tmp_path / "train")
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_is_replaced(tmp_path):
    left = tmp_path / ".writing-train"
    left.mkdir()
    (left / "part-00000.arrow").write_bytes(b"half")
    write_features(iter([{"x": 1}]), tmp_path / "train")
    assert [path.name for path in tmp_path.iterdir()] == ["train"]
    assert json.loads((tmp_path / "train" / "features.json").read_text())["rows"] == 1


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """32 MB of features are written in a few."""
    code = """
import resource, sys
from pathlib import Path
from longspan.train.features import FeatureTable, write_features

def rows(count):
    for i in range(count):
        yield {"input_ids": list(range(i, i + 4096)), "attention_mask": [1] * 4096}

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder = Path(sys.argv[1])
write_features(rows(100), folder / "small")
small = peak()
write_features(rows(1000), folder / "large")
print(peak() - small)
assert sum(f.stat().st_size for f in (folder / "large").iterdir()) > 32e6
"""
    assert float(run_python(code, str(tmp_path))) < 10
