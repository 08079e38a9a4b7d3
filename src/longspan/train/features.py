"""Features on disk: written once as Arrow files, read memory-mapped, so that no data set has to fit into memory."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longspan.atomic import write_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from longspan.tasks.task import Features

ROWS_AT_ONCE = 64
"""Rows of a record batch: what is held in memory while writing."""

SUMMARY = "features.json"


def write_features(rows: Iterable[Features], folder: Path, about: dict[str, Any] | None = None) -> None:
    """Write all rows into a new folder, which appears when it is whole.

    Args:
        rows: dicts of numbers, texts and lists of them; every row has the same keys.
        folder: where the files go; it must not exist.
        about: what to keep beside them, ready for JSON; filled while ``rows`` is read, so it is read at the end.

    Raises:
        ValueError: a row does not fit those before it.
    """
    with write_folder(folder) as partial:
        writer = _Writer(partial)
        batch: list[Features] = []
        for row in rows:
            batch.append(row)
            if len(batch) == ROWS_AT_ONCE:
                writer.write(batch)
                batch = []
        if batch:
            writer.write(batch)
        writer.close()
        summary = {"rows": writer.rows, "parts": writer.parts, "about": about or {}}
        (partial / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


class FeatureTable(Sequence["Features"]):
    """The rows of a folder that :func:`write_features` wrote, each read from disk when it is asked for.

    Attributes:
        about: what was written beside the rows.
    """

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa

        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        self.about: dict[str, Any] = summary["about"]
        self._rows: int = summary["rows"]
        self._readers: list[Any] = []
        # the first row of each record batch, and which reader and batch it is
        self._starts: list[int] = []
        self._batches: list[tuple[int, int]] = []
        start = 0
        for part, rows in enumerate(summary["parts"]):
            reader = pa.ipc.open_file(pa.memory_map(str(folder / _part_name(part))))
            self._readers.append(reader)
            for number in range(reader.num_record_batches):
                self._starts.append(start + number * ROWS_AT_ONCE)
                self._batches.append((part, number))
            start += rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(self._rows))]
        if not 0 <= row < self._rows:
            raise IndexError(f"row {row} of {self._rows}")
        place = bisect.bisect_right(self._starts, row) - 1
        part, number = self._batches[place]
        batch = self._readers[part].get_batch(number)
        return batch.slice(row - self._starts[place], 1).to_pylist()[0]


class _Writer:
    """Record batches into files of one schema each; a new file where a later row needs a wider one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[int] = []
        self._schema: pa.Schema | None = None
        self._file: Any = None

    @property
    def rows(self) -> int:
        return sum(self.parts)

    def write(self, rows: Sequence[Features]) -> None:
        import pyarrow as pa

        table = _table(rows)
        try:
            schema = table.schema
            if self._schema is not None:
                schema = pa.unify_schemas([self._schema, schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"the features of the rows from {self.rows} on do not fit those before: {error}") from None
        if schema != self._schema:
            self.close()
            self._schema = schema
            self._file = pa.ipc.new_file(str(self.folder / _part_name(len(self.parts))), schema)
            self.parts.append(0)
        self._file.write_table(table.select(schema.names).cast(schema))
        self.parts[-1] += len(rows)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _table(rows: Sequence[Features]) -> pa.Table:
    import pyarrow as pa

    names = list(rows[0])
    for row in rows:
        if set(row) != set(names):
            raise ValueError(f"features must have the same keys in every row: {sorted(names)}, got {sorted(row)}")
    return pa.table({name: _narrow(pa.array([row[name] for row in rows])) for name in names})


def _narrow(column: pa.Array) -> pa.Array:
    """Whole numbers in four bytes where they fit: half the disk, which is what limits a large data set."""
    import pyarrow as pa

    try:
        return column.cast(_in_four_bytes(column.type))
    except pa.ArrowInvalid:
        return column


def _in_four_bytes(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return pa.list_(_in_four_bytes(kind.value_type))
    return pa.int32() if pa.types.is_int64(kind) else kind


def _part_name(part: int) -> str:
    return f"part-{part:05d}.arrow"
