"""`longspan classify`: the class of text files, their classes, or a number."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from longspan.cli.console import fail, out, printable, user_errors
from longspan.cli.documents import check_encoding, each_document
from longspan.cli.options import AsJson, BatchTokens, Device, Files, MaxLength, Model, Stride, TextEncoding

if TYPE_CHECKING:
    from longspan.predict.classifying import Classification
    from longspan.tasks.classify import Classify


def classify(
    model: Model,
    files: Files = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Another text that the model reads before the document: a hypothesis, say."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Another text that the model reads after the document.")
    ] = None,
    as_json: AsJson = False,
    encoding: TextEncoding = None,
    device: Device = None,
    max_length: MaxLength = None,
    stride: Stride = None,
    batch_tokens: BatchTokens = 16384,
) -> None:
    """Say what text files are: one class, several, or a number, as the model was trained.

    A document longer than the model is read in overlapping windows that cover all of it, and their probabilities are
    averaged. With --json each file gives one line: file, characters, labels, scores, value, windows.

    Exit codes: 0 fine; 1 a file or the model could not be read (all other files are still done); 2 wrong usage.
    """
    from longspan.predict.classifying import classify as run

    if before is not None and after is not None:
        raise typer.BadParameter("a model reads two texts: give --before or --after", param_hint="--after")
    check_encoding(encoding)

    def work(text: str) -> Classification:
        first, second = (text, after) if before is None else (before, text)
        return run(loaded, first, second, batch_tokens=batch_tokens)

    def show(source: str, text: str, found: Classification) -> None:
        if as_json:
            typer.echo(json.dumps({"file": source, "characters": len(text), **asdict(found)}))
        else:
            _print(source, found)

    with user_errors():
        from longspan.predict.loading import load

        loaded = load(model, "classify", device, max_length, stride)
        pair = before is not None or after is not None
        misfit = cast("Classify", loaded.task).find_misfit(pair)
        if misfit is not None:
            fail(f"{misfit}: {'leave --before and --after out' if pair else 'give the other by --before or --after'}")
        each_document(files, encoding, work, show)


def _print(source: str, found: Classification) -> None:
    from rich.text import Text

    if found.value is not None:
        shown = Text(f"{found.value:.4g}")
    else:
        best = sorted(found.scores.items(), key=lambda entry: -entry[1])[:5]
        parts = [
            Text(f"{printable(name)} {p:.1%}", style="cyan" if name in found.labels else "dim") for name, p in best
        ]
        shown = Text(", ").join(parts)
    windows = f" ({found.windows} windows)" if found.windows > 1 else ""
    out().print(Text.assemble(printable(source), ": ", shown, windows), soft_wrap=True)
