"""The task's scores on the validation examples, computed by the loop that predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from longspan.predict.loop import predict_examples
from longspan.tasks.task import Encoding, Prediction, Task
from longspan.train.sources import OnProgress


class Validation:
    """From a model to its scores, the same on every process.

    Args:
        task, encoding: how the model is asked.
        examples: with their gold labels.
        tell: told how many examples are done.

    Attributes:
        whole: whether every process reads every example, which a sharded model needs: it computes in step.
    """

    def __init__(
        self,
        task: Task[Any],
        encoding: Encoding,
        examples: Sequence[Any],
        tell: OnProgress,
    ) -> None:
        self.task, self.encoding, self.examples = task, encoding, examples
        self.tell, self.whole = tell, False

    def __call__(self, model: Any) -> dict[str, float]:
        """The scores of the model as it is."""
        import torch.distributed as dist

        processes, process = 1, 0
        if dist.is_available() and dist.is_initialized():
            processes, process = dist.get_world_size(), dist.get_rank()
        shared = processes > 1 and not self.whole
        mine = self.examples[process::processes] if shared else self.examples
        predictions: list[Prediction] = []
        for _, prediction in predict_examples(self.task, model, mine, self.encoding):
            predictions.append(prediction)
            if process == 0:
                self.tell("evaluate", len(predictions), len(mine), {})
        if shared:
            parts: list[Any] = [None] * processes
            dist.all_gather_object(parts, predictions)
            predictions = [parts[i % processes][i // processes] for i in range(len(self.examples))]
        return {name: float(value) for name, value in self.task.score(self.examples, predictions).items()}
