"""How far a training run is, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from longspan.cli.console import err

if TYPE_CHECKING:
    from longspan.train.sources import OnProgress

_DOING = {"read": "reading", "check": "checking", "train": "training", "evaluate": "evaluating"}


@contextmanager
def training_progress(show: bool) -> Iterator[OnProgress]:
    """Show a bar while the block runs, where standard error is a terminal and ``show``; gives what is to be told."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    console = err()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal or not show,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    row = bar.add_task("reading", total=None, figures="")
    latest = ""

    def tell(doing: str, done: int, total: int | None, figures: dict[str, float]) -> None:
        nonlocal latest
        latest = _figures(figures) or latest
        bar.update(row, description=_DOING.get(doing, doing), completed=done, total=total, figures=latest)

    with bar:
        yield tell


def _figures(figures: dict[str, float]) -> str:
    """The loss and the validation scores of a log."""
    shown = {name.removeprefix("eval_"): x for name, x in figures.items() if name == "loss" or name.startswith("eval_")}
    return ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
