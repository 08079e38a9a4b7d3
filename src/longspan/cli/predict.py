"""`longspan predict`: what a checkpoint says of each row of a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from longspan.cli.checkpoint import load_checkpoint
from longspan.cli.console import count_windows, out, tell_skipped, user_errors
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


def predict(
    checkpoint: Checkpoint,
    data: Data,
    target: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the predictions go, one JSON object a line.")
    ],
    layout: Layout = None,
    option: TaskOptions = None,
    skip_bad: SkipBad = False,
    as_json: OneJson = False,
    device: Device = None,
    max_length: MaxLength = None,
    stride: Stride = None,
    batch_tokens: BatchTokens = 16384,
) -> None:
    """Write what a checkpoint says of each row of a data set, as JSON lines in input order.

    All rows are checked before the first is run. FILE appears when it is whole; the same command after an interruption
    goes on where it stopped. Offsets are code points of the row's text.

    Exit codes: 0 fine; 1 the data or the checkpoint cannot be used; 2 wrong usage.
    """
    from longspan.predict.predictions import predict as run

    with user_errors(), count_windows(data) as on_progress:
        check = run(
            load_checkpoint(checkpoint, option, device, max_length, stride),
            data,
            target,
            layout=layout,
            skip_bad=skip_bad,
            batch_tokens=batch_tokens,
            on_progress=on_progress,
        )
    tell_skipped(len(check.bad), check.faults)
    if as_json:
        typer.echo(json.dumps({"file": str(target), "rows": check.rows, "skipped": len(check.bad)}))
    else:
        out().print(f"{target}: {check.rows:,} predictions", soft_wrap=True, markup=False)
