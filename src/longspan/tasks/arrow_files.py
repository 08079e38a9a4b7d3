"""Parquet and arrow files, single or as ``datasets`` leaves them in a folder, read in small pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longspan.tasks.examples import BadRow, DataError, Source
from longspan.tasks.faults import lacking
from longspan.tasks.files import read_json

if TYPE_CHECKING:
    import pyarrow as pa

_SUFFIXES = (".parquet", ".arrow")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"
_ROWS_AT_ONCE = 64
"""Rows of a batch made into Python objects at once: documents are long."""


def is_table_file(path: str) -> bool:
    """Whether the name is that of one parquet or arrow file."""
    return Path(path).suffix.lower() in _SUFFIXES


def find_tables(path: str) -> list[str]:
    """The files of a data set, in order.

    Args:
        path: one file; a folder of ``Dataset.save_to_disk`` or of one split's parquet or arrow files (there or in
            ``data/``); or ``FOLDER/SPLIT`` for one split of a folder that holds several as files.

    Raises:
        DataError: there is none, or there are several splits.
        FileNotFoundError: there is nothing of that name.
    """
    folder = Path(path)
    if folder.is_file():
        if is_table_file(path):
            return [path]
        raise DataError(f"{path}: unknown kind of file; known are .jsonl, .json, .csv, .tsv, .parquet and .arrow")
    if not folder.is_dir():
        files = _splits(folder.parent).get(folder.name) if folder.parent.is_dir() else None
        if files:
            return files
        raise FileNotFoundError(f"{path}: no such file or folder")
    if (folder / "dataset_dict.json").is_file():
        return find_tables(_only(path, {name: str(folder / name) for name in _saved(folder, "dataset_dict.json")}))
    if (folder / "state.json").is_file():
        return [str(folder / name) for name in _saved(folder, "state.json")]
    splits = _splits(folder)
    if not splits:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:12])
        raise DataError(f"{path}: no parquet or arrow file in this folder, which holds: {there or 'nothing'}")
    return _only(path, splits)


def read_arrow(files: Sequence[str], columns: Sequence[str] = ()) -> Iterator[tuple[Source, dict[str, Any]] | BadRow]:
    """The rows of arrow and parquet files; the place of a row is its number in its file.

    Raises:
        DataError: a file is broken or lacks a column.
        ImportError: pyarrow, which ``datasets`` brings, is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise ImportError('parquet and arrow files need pyarrow: pip install "longspan[train]"') from None

    for file in files:
        number = 0
        try:
            for batch in _batches(file):
                fault = lacking(columns, batch.schema.names)
                if fault:
                    raise DataError(f"{file}: {fault}")
                name_classes = _class_namer(batch.schema)
                for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                    for row in batch.slice(start, _ROWS_AT_ONCE).to_pylist():
                        number += 1
                        source = Source(file, number)
                        try:
                            yield source, name_classes(row)
                        except IndexError as error:
                            yield BadRow(source, str(error))
        except (pa.ArrowException, OSError) as error:
            # pyarrow's own OSErrors, of a file that is cut short, have no number
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(f"{Source(file, number + 1)}: cannot be read: {error}") from None


def _saved(folder: Path, name: str) -> list[str]:
    """What ``save_to_disk`` wrote down: the splits, or the files of one data set."""
    state = read_json(str(folder / name))
    try:
        return list(state["splits"]) if name == "dataset_dict.json" else [f["filename"] for f in state["_data_files"]]
    except (KeyError, TypeError):
        raise DataError(f"{folder / name}: not what datasets.save_to_disk writes") from None


def _splits(folder: Path) -> dict[str, list[str]]:
    """Files by split: ``train-00000-of-00002.parquet`` and ``train.parquet`` belong to "train"."""
    splits: dict[str, list[str]] = {}
    for place in (folder, folder / "data"):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            # Results of earlier maps and filters, which datasets keeps beside the data.
            if is_table_file(str(file)) and not file.name.startswith("cache-"):
                splits.setdefault(_SHARD.sub("", file.stem), []).append(str(file))
        if splits:
            break
    return splits


def _only(path: str, splits: Mapping[str, Any]) -> Any:
    if len(splits) == 1:
        return next(iter(splits.values()))
    raise DataError(f"{path}: holds several splits, name one of them: " + ", ".join(f"{path}/{s}" for s in splits))


def _batches(file: str) -> Iterator[pa.RecordBatch]:
    if file.lower().endswith(".parquet"):
        import pyarrow.parquet

        # pre_buffer would read the whole file into memory
        with pyarrow.parquet.ParquetFile(file, pre_buffer=False) as table:
            yield from table.iter_batches(batch_size=_ROWS_AT_ONCE)
        return
    import pyarrow as pa

    with pa.memory_map(file) as source:
        # datasets writes streams; other writers, files that can be entered anywhere.
        if source.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(source)
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            # A stream that is cut between two batches looks whole but for this mark.
            source.seek(max(0, source.size() - len(_STREAM_END)))
            if source.read() != _STREAM_END:
                raise pa.ArrowInvalid("the mark of the stream's end is missing, the file is cut short")
            source.seek(0)
            yield from pa.ipc.open_stream(source)


def _class_namer(schema: pa.Schema) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that puts class names for class numbers, as far as ``datasets`` left them in the schema."""
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = (metadata.get("info") or {}).get("features") or {}
    names = {column: found for column, feature in features.items() if (found := _class_names(feature))}

    def name(column: str, value: Any) -> Any:
        if isinstance(value, list):
            return [name(column, item) for item in value]
        if value is None or value == -1:  # the class number for "unknown"
            return None
        if not 0 <= value < len(names[column]):
            raise IndexError(f"{column!r} is {value}, where {len(names[column])} class names are known")
        return names[column][value]

    def named(row: dict[str, Any]) -> dict[str, Any]:
        return row | {column: name(column, row[column]) for column in names if column in row}

    return named


def _class_names(feature: Any) -> list[str] | None:
    if isinstance(feature, list) and feature:
        feature = feature[0]
    while isinstance(feature, dict) and isinstance(feature.get("feature"), dict):
        feature = feature["feature"]
    return feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
