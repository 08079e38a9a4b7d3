"""`longspan convert`: make a long model of a short one."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longspan.cli.console import fail, out, printable, progress

if TYPE_CHECKING:
    from longspan.models.conversion import Conversion


class Family(StrEnum):
    """What `--to` takes."""

    longformer = "longformer"
    nystromformer = "nystromformer"


def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Folder or hub id of the checkpoint to read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; it must not exist yet.")],
    max_length: Annotated[int, typer.Option(metavar="N", min=1, help="Longest input of the new model, in tokens.")],
    to: Annotated[Family, typer.Option("--to", help="Family of the new model.")] = Family.longformer,
    window: Annotated[
        int | None,
        typer.Option(
            metavar="W",
            min=0,
            help="Window of the Longformer, W // 2 tokens on each side; by default 512, or that of a Longformer.",
        ),
    ] = None,
    landmarks: Annotated[
        int | None, typer.Option(metavar="M", min=1, help="Landmarks of the Nyströmformer; by default 64.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as one JSON object.")] = False,
) -> None:
    """Make a long model of a RoBERTa, XLM-R, CamemBERT, BERT or ELECTRA checkpoint, or lengthen a Longformer.

    Position rows repeat those of the source; everything else is copied, heads included where the family has the same
    one. What has no place in the new model is named. OUT is written whole or not at all.

    Exit codes: 0 fine; 1 the source cannot be read or converted, or OUT not written; 2 wrong usage.
    """
    if window is not None and to is not Family.longformer:
        raise typer.BadParameter("a Nyströmformer has no window; it has --landmarks", param_hint="--window")
    if landmarks is not None and to is not Family.nystromformer:
        raise typer.BadParameter("a Longformer has no landmarks; it has --window", param_hint="--landmarks")
    if target.exists() or target.is_symlink():
        raise typer.BadParameter(f"{target} exists already: nothing is written over", param_hint="OUT")
    with progress(1) as bar:
        bar.update(bar.task_ids[0], description=f"converting {source}")
        done = _convert(source, target, to, max_length, window, landmarks)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        _show(done)


def _convert(
    source: str, target: Path, to: Family, max_length: int, window: int | None, landmarks: int | None
) -> Conversion:
    import logging

    from safetensors import SafetensorError

    from longspan.models.conversion import convert as make

    logging.getLogger("longspan.conversion").setLevel(logging.ERROR)  # printed here
    try:
        return make(source, target, to.value, max_length=max_length, window=window, num_landmarks=landmarks)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        fail(str(error))


def _show(done: Conversion) -> None:
    console = out()
    lines = [
        f"{done.out}: a {done.model_class} for {done.max_length:,} tokens, from a {done.source_class} for "
        f"{done.source_length:,}.",
        f"Hidden states of a document of {done.compared_tokens} tokens differ from the source's by at most "
        f"{done.difference:.1e}.",
        "The source has no tokenizer, so none was written."
        if done.tokenizer_class is None
        else f"Tokenizer: {done.tokenizer_class}, up to {done.max_length:,} tokens.",
    ]
    if done.dropped:
        lines.append(f"Not carried over, without a place in a {done.model_class}: {', '.join(done.dropped)}.")
    for line in lines:
        console.print(printable(line), soft_wrap=True, markup=False)
