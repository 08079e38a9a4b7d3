"""`longspan fill`: what may stand in the gaps of text files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from longspan.cli.console import out, printable, user_errors
from longspan.cli.documents import check_encoding, each_document
from longspan.cli.options import AsJson, BatchTokens, Device, Files, MaxLength, Model, TextEncoding

if TYPE_CHECKING:
    from longspan.predict.filling import Gap


def fill(
    model: Model,
    files: Files = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, metavar="N", help="Candidates of each gap.")] = 5,
    as_json: AsJson = False,
    encoding: TextEncoding = None,
    device: Device = None,
    max_length: MaxLength = None,
    batch_tokens: BatchTokens = 16384,
) -> None:
    """Say what may stand in each <mask> of text files.

    Each gap is read with as much text around it as the model reads. With --json each file gives one line: file,
    characters, gaps (start, end, candidates with text, token and score).

    Exit codes: 0 fine; 1 a file or the model could not be read (all other files are still done); 2 wrong usage.
    """
    from longspan.predict.filling import fill as run

    check_encoding(encoding)

    def work(text: str) -> list[Gap]:
        return run(loaded, text, top_k=top_k, batch_tokens=batch_tokens)

    def show(source: str, text: str, gaps: list[Gap]) -> None:
        if as_json:
            facts = {"file": source, "characters": len(text), "gaps": [asdict(gap) for gap in gaps]}
            typer.echo(json.dumps(facts))
        else:
            _print(source, text, gaps)

    with user_errors():
        from longspan.predict.loading import load

        loaded = load(model, "mlm", device, max_length)
        each_document(files, encoding, work, show)


def _print(source: str, text: str, gaps: list[Gap]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=printable(f"{source}: {len(gaps)} gaps"), title_justify="left", header_style="dim")
    table.add_column("Gap", ratio=1, overflow="fold")
    table.add_column("Candidates", ratio=1, overflow="fold")
    table.add_column("Characters", justify="right", no_wrap=True)
    for gap in gaps:
        shown = " ".join(text[max(gap.start - 40, 0) : gap.end + 40].split())
        best = ", ".join(f"{printable(c.text or c.token)} {c.score:.0%}" for c in gap.candidates)
        table.add_row(Text(printable(shown)), Text(best), f"{gap.start}-{gap.end}")
    out().print(table)
