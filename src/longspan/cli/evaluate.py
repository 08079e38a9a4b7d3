"""`longspan evaluate`: a checkpoint's scores on labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longspan.cli.checkpoint import load_checkpoint
from longspan.cli.console import count_windows, out, printable, tell_skipped, user_errors
from longspan.cli.options import (
    BatchTokens,
    Checkpoint,
    Data,
    Device,
    Layout,
    MaxLength,
    OneJson,
    SkipBad,
    Stride,
    TaskOptions,
)

if TYPE_CHECKING:
    from rich.table import Table

    from longspan.predict.evaluation import Evaluation


def evaluate(
    checkpoint: Checkpoint,
    data: Data,
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Also write the predictions there, one JSON object a line."),
    ] = None,
    layout: Layout = None,
    option: TaskOptions = None,
    skip_bad: SkipBad = False,
    as_json: OneJson = False,
    device: Device = None,
    max_length: MaxLength = None,
    stride: Stride = None,
    batch_tokens: BatchTokens = 16384,
) -> None:
    """Score a checkpoint on labelled data with the metrics of its task.

    All rows are checked before the first is run. With --out, the same command after an interruption goes on where it
    stopped.

    Exit codes: 0 fine; 1 the data or the checkpoint cannot be used; 2 wrong usage.
    """
    from longspan.predict.evaluation import evaluate as run

    with user_errors(), count_windows(data) as on_progress:
        found = run(
            load_checkpoint(checkpoint, option, device, max_length, stride),
            data,
            target,
            layout=layout,
            skip_bad=skip_bad,
            batch_tokens=batch_tokens,
            on_progress=on_progress,
        )
    tell_skipped(found.skipped, found.faults)
    if as_json:
        facts = {
            "checkpoint": checkpoint,
            "data": data,
            "task": found.task,
            "metric": found.metric,
            "scores": found.scores,
            "rows": found.rows,
            "skipped": found.skipped,
            "seconds": round(found.seconds, 3),
        }
        typer.echo(json.dumps(facts))
    else:
        console = out()
        told = f"{data}: {found.rows:,} rows, task {found.task}, {found.seconds:.1f} s"
        console.print(printable(told), style="bold", soft_wrap=True, markup=False)
        console.print(_table(found))


def _table(found: Evaluation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="dim", expand=False)
    table.add_column("Metric")
    table.add_column("Score", justify="right")
    for name, value in found.scores.items():
        table.add_row(Text(name, style="cyan" if name == found.metric else ""), f"{value:.4f}")
    return table
