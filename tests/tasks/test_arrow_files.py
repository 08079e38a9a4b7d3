"""Parquet and arrow files, and the folders that `datasets` writes."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from longspan.tasks.examples import BadRow, DataError
from longspan.tasks.tables import read_tables
from tests._support import peak_mib

FEATURES = Features(
    {"text": Value("string"), "label": ClassLabel(names=["no", "yes"]), "tags": List(ClassLabel(names=["O", "B-x"]))}
)


def made(n=5):
    rows = {"text": [f"text {i}" for i in range(n)], "label": [i % 2 for i in range(n)], "tags": [[0, 1, 0]] * n}
    return Dataset.from_dict(rows, features=FEATURES)


def fields_of(path, *columns):
    rows = list(read_tables(str(path), columns))
    assert not [row for row in rows if isinstance(row, BadRow)]
    return [row[1] for row in rows]


EXPECTED = [{"text": f"text {i}", "label": ("no", "yes")[i % 2], "tags": ["O", "B-x", "O"]} for i in range(5)]


def test_a_saved_data_set_has_its_class_names(tmp_path):
    made().save_to_disk(tmp_path / "set", num_shards=2)
    assert fields_of(tmp_path / "set", "text", "label") == EXPECTED
    first = next(iter(read_tables(str(tmp_path / "set"))))
    assert first[0].file.endswith("data-00000-of-00002.arrow") and first[0].line == 1


def test_a_selection_is_saved_as_it_was_selected(tmp_path):
    made().select([4, 0]).save_to_disk(tmp_path / "set")
    assert fields_of(tmp_path / "set") == [EXPECTED[4], EXPECTED[0]]


def test_of_several_splits_one_has_to_be_named(tmp_path):
    DatasetDict({"train": made(), "test": made(2)}).save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"set: holds several splits, name one of them: .*set/train, .*set/test"):
        fields_of(tmp_path / "set")
    assert fields_of(tmp_path / "set" / "test") == EXPECTED[:2]
    DatasetDict({"train": made()}).save_to_disk(tmp_path / "one")
    assert fields_of(tmp_path / "one") == EXPECTED


@pytest.mark.parametrize("inside", ["", "data"])
def test_parquet_files_of_splits(tmp_path, inside):
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    made(5).select(range(3)).to_parquet(folder / "train-00000-of-00002.parquet")
    made(5).select(range(3, 5)).to_parquet(folder / "train-00001-of-00002.parquet")
    assert fields_of(tmp_path) == EXPECTED
    made(1).to_parquet(folder / "test.parquet")
    assert fields_of(tmp_path / "train") == EXPECTED
    assert fields_of(tmp_path / "test") == EXPECTED[:1]
    assert fields_of(folder / "test.parquet") == EXPECTED[:1]
    with pytest.raises(DataError, match="holds several splits"):
        fields_of(tmp_path)


def test_tables_of_other_writers(tmp_path):
    table = pa.table({"text": ["a", None], "label": [1, 2]})
    pyarrow.feather.write_feather(table, tmp_path / "a.arrow")
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    for name in ("a.arrow", "a.parquet"):
        assert fields_of(tmp_path / name) == [{"text": "a", "label": 1}, {"text": None, "label": 2}]


def test_unknown_and_impossible_classes(tmp_path):
    file = tmp_path / "a.parquet"
    schema = made().data.schema
    pyarrow.parquet.write_table(
        pa.table({"text": ["a", "b", "c"], "label": [-1, 2, None], "tags": [[], [0], [1]]}, schema), file
    )
    first, second, third = read_tables(str(file))
    assert first[1]["label"] is None and third[1]["label"] is None
    assert second.source.line == 2 and second.reason == "'label' is 2, where 2 class names are known"


def test_wrong_columns_are_told(tmp_path):
    made().save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"arrow: no column 'sentence'; there are: 'text', 'label', 'tags'"):
        fields_of(tmp_path / "set", "sentence")


def test_broken_and_missing_files(tmp_path):
    made().save_to_disk(tmp_path / "set")
    (file,) = (tmp_path / "set").glob("*.arrow")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=r"arrow:1: cannot be read"):
        fields_of(tmp_path / "set")
    file.unlink()
    with pytest.raises(FileNotFoundError):
        fields_of(tmp_path / "set")
    (tmp_path / "a.parquet").write_bytes(b"PAR1\x15 and no more")
    with pytest.raises(DataError, match=r"a\.parquet:1: cannot be read"):
        fields_of(tmp_path / "a.parquet")


def test_a_folder_without_a_table_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("a")
    with pytest.raises(DataError, match=r"no parquet or arrow file in this folder, which holds: notes\.txt"):
        fields_of(tmp_path)
    made(0).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(DataError, match="there is no row"):
        fields_of(tmp_path)


def test_without_pyarrow_the_extra_is_named(tmp_path):
    made().to_parquet(tmp_path / "a.parquet")
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from longspan.tasks.tables import read_tables\n"
        f"list(read_tables({str(tmp_path / 'a.parquet')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert 'pip install "longspan[train]"' in done.stderr


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    setup = "import pyarrow.parquet\nfrom longspan.tasks.tables import read_tables"
    reads = []
    for n in (300, 1500):
        texts = [f"a long text {i} " * 1000 for i in range(n)]
        file = tmp_path / f"{n}.{kind}"
        if kind == "arrow":
            Dataset.from_dict({"text": texts}).save_to_disk(tmp_path / str(n))
            (written,) = (tmp_path / str(n)).glob("*.arrow")
            written.rename(file)
        else:
            table = pa.table({"text": texts})
            pyarrow.parquet.write_table(table, file, row_group_size=100, use_dictionary=False, compression=None)
        reads.append(f"for row in read_tables({str(file)!r}): pass")
    few, many = peak_mib(setup, *reads)
    # 5 and 23 MiB; pages of a mapped arrow file count, though the system can drop them
    assert many - few < (8 if kind == "parquet" else 24)


def test_a_stream_that_is_cut_between_batches_is_not_taken_for_whole(tmp_path):
    batch = pa.record_batch({"text": ["a", "b"]})
    file = tmp_path / "a.arrow"
    ends = []
    with open(file, "wb") as out, pa.ipc.new_stream(out, batch.schema) as stream:
        for _ in range(2):
            stream.write_batch(batch)
            ends.append(out.tell())
    assert len(fields_of(file, "text")) == 4
    file.write_bytes(file.read_bytes()[: ends[0]])
    with pytest.raises(DataError, match=r"a\.arrow:1: cannot be read: .*cut short"):
        fields_of(file, "text")
