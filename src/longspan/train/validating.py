"""The task's scores on the validation examples, computed by the loop that predicts."""

from __future__ import annotations

from itertools import islice
from typing import Any

from longspan.predict.loop import predict_examples
from longspan.tasks.examples import BadRow
from longspan.tasks.task import Encoding, Task
from longspan.train.sources import OnProgress, Sources


class Validation:
    """From a model to its scores, the same on every process.

    The examples are read anew each time, and of each is kept what the scores depend on.

    Args:
        task, encoding: how the model is asked.
        sources: of the examples with their gold labels.
        count: how many there are, to tell of; None where nobody has counted them.
        tell: told how many examples are done.

    Attributes:
        whole: whether every process reads every example, which a sharded model needs: it computes in step.
    """

    def __init__(
        self, task: Task[Any], encoding: Encoding, sources: Sources, count: int | None, tell: OnProgress
    ) -> None:
        self.task, self.encoding, self.sources = task, encoding, sources
        self.count, self.tell, self.whole = count, tell, False

    def __call__(self, model: Any) -> dict[str, float]:
        """The scores of the model as it is."""
        import torch.distributed as dist

        several = dist.is_available() and dist.is_initialized()
        rank = dist.get_rank() if several else 0
        processes = dist.get_world_size() if several and not self.whole else 1
        mine = islice(self.sources.validation_examples(self.task), rank if processes > 1 else 0, None, processes)
        total = None if self.count is None else -(-self.count // processes)
        records: list[Any] = []
        on_bad = _leave_out if self.sources.skip_bad else None
        for example, prediction in predict_examples(self.task, model, mine, self.encoding, on_bad=on_bad):
            records.append(self.task.record(example, prediction))
            if rank == 0:
                self.tell("evaluate", len(records), total, {})
        if processes > 1:
            parts: list[list[Any]] = [[] for _ in range(processes)]
            dist.all_gather_object(parts, records)
            records = [record for part in parts for record in part]
        return {name: float(value) for name, value in self.task.score_records(records).items()}


def _leave_out(row: BadRow) -> None:
    """It was counted and named before the first step."""
