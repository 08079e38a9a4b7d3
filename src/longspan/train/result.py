"""What a run came to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from longspan.atomic import write_json
from longspan.train import checkpoints


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        out: folder of the model, its tokenizer and its task.
        rows: training rows, windows of long documents counted each.
        skipped: bad rows left out of both files.
        bad: the first of these, as ``file:line: reason``.
        steps: optimizer steps.
        best_step: the step whose weights ``out`` holds.
        scores: of these weights on the validation examples; empty without any.
        loss: mean training loss of the last logged steps; None where nothing was logged.
        resumed: the step from which this call went on; None where it began.
        seconds: of this call.
        history: one dict a log line, each with its ``step``.
    """

    out: str
    rows: int
    skipped: int
    bad: tuple[str, ...]
    steps: int
    best_step: int
    scores: dict[str, float]
    loss: float | None
    resumed: int | None
    seconds: float
    history: list[dict[str, Any]]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, dataclasses.asdict(self))


def load_result(path: Path) -> Result:
    """Read what :meth:`Result.save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Result(**{**content, "bad": tuple(content["bad"])})


def best_scores(
    history: list[dict[str, Any]], metric: str, greater: bool, steps: list[int]
) -> tuple[int, dict[str, float]]:
    """The step among ``steps`` with the best score, and all its scores; the last step where none is scored."""
    best = checkpoints.best_step(history, metric, greater, steps)
    if best is None:
        return max(steps), {}
    line = [x for x in history if x["step"] == best and f"eval_{metric}" in x][-1]
    return best, {name.removeprefix("eval_"): value for name, value in line.items() if name.startswith("eval_")}
