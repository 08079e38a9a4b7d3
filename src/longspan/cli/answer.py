"""`longspan answer`: questions about text files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from longspan.cli.console import out, printable, user_errors
from longspan.cli.documents import check_encoding, each_document
from longspan.cli.options import AsJson, BatchTokens, Device, Files, MaxLength, Model, Stride, TextEncoding

if TYPE_CHECKING:
    from longspan.predict.answering import Reply


def answer(
    model: Model,
    questions: Annotated[
        list[str], typer.Option("--question", "-q", metavar="TEXT", help="A question; give it again for more.")
    ],
    files: Files = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, metavar="N", help="Candidates of each question.")] = 1,
    no_answer: Annotated[
        bool | None,
        typer.Option(
            "--no-answer/--always-answer", help="Whether there may be no answer; by default as the model was trained."
        ),
    ] = None,
    as_json: AsJson = False,
    encoding: TextEncoding = None,
    device: Device = None,
    max_length: MaxLength = None,
    stride: Stride = None,
    batch_tokens: BatchTokens = 16384,
) -> None:
    """Answer questions with passages of text files, or say that there is no answer.

    A document longer than the model is read in overlapping windows that cover all of it. With --json each file gives
    one line: file, characters, answers; each answer has question, answer (start, end, text and score, or null where
    there is none), no_answer (the score of there being none) and candidates, the best first.

    Exit codes: 0 fine; 1 a file or the model could not be read (all other files are still done); 2 wrong usage.
    """
    from longspan.predict.answering import answer as run

    check_encoding(encoding)

    def work(text: str) -> list[Reply]:
        return run(loaded, text, questions, top_k=top_k, no_answer=no_answer, batch_tokens=batch_tokens)

    def show(source: str, text: str, replies: list[Reply]) -> None:
        if as_json:
            facts = {"file": source, "characters": len(text), "answers": [asdict(reply) for reply in replies]}
            typer.echo(json.dumps(facts))
        else:
            _print(source, replies)

    with user_errors():
        from longspan.predict.loading import load

        loaded = load(model, "answer", device, max_length, stride)
        each_document(files, encoding, work, show)


def _print(source: str, replies: list[Reply]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=printable(source), title_justify="left", title_style="bold", header_style="dim")
    table.add_column("Question", ratio=1, overflow="fold")
    table.add_column("Answer", ratio=2, overflow="fold")
    table.add_column("Score", justify="right", no_wrap=True)
    table.add_column("Characters", justify="right", no_wrap=True)
    for reply in replies:
        question = Text(printable(reply.question), style="cyan")
        if reply.answer is None:
            table.add_row(question, Text("no answer", style="dim"), _score(reply.no_answer), "")
            question = Text("")
        for span in reply.candidates:
            shown = Text(printable(" ".join(span.text.split())), style="" if span == reply.answer else "dim")
            table.add_row(question, shown, _score(span.score), f"{span.start}-{span.end}")
            question = Text("")
    out().print(table)


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"
