"""Which rows each process reads in which step: a shuffle that depends on the seed and the epoch only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from longspan.tasks.task import Features


class RowOrder:
    """Batches of (epoch, row) for one process, as ``DataLoader`` takes for its ``batch_sampler``.

    A step reads ``batch * accumulate * processes`` rows; which ones depends on this product only, so that one process
    with a larger batch does the same as several. The rows of an epoch's last step are filled up from its beginning.

    Attributes:
        epoch: of the batches that the next iteration gives; whoever trains sets it.
    """

    def __init__(
        self, rows: int, batch: int, accumulate: int = 1, processes: int = 1, process: int = 0, seed: int = 0
    ) -> None:
        if rows < 1:
            raise ValueError("there is no row to train on")
        self.rows, self.batch, self.accumulate = rows, batch, accumulate
        self.processes, self.process, self.seed = processes, process, seed
        self.epoch = 0

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-self.rows // (self.batch * self.accumulate * self.processes))

    def __len__(self) -> int:
        return self.steps * self.accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(self.rows)
        order = np.resize(order, self.steps * self.batch * self.accumulate * self.processes)
        for rows in order.reshape(-1, self.processes, self.batch)[:, self.process]:
            yield [(epoch, int(row)) for row in rows]


class TrainingRows:
    """The training set as ``DataLoader`` indexes it: by (epoch, row), both of which a row then carries."""

    def __init__(self, table: Sequence[Features]) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, place: tuple[int, int]) -> Features:
        epoch, row = place
        return {**self.table[row], "epoch": epoch, "row": row}
