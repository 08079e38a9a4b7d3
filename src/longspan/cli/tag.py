"""`longspan tag`: mark the passages of text files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longspan.cli.console import (
    EXIT_UNREADABLE,
    above,
    check_page_path,
    complain,
    load_tagger,
    out,
    passage_table,
    progress,
    set_share,
    write_page,
)
from longspan.cli.documents import check_encoding, read_document

if TYPE_CHECKING:
    from longspan.predict.html import TaggedDocument


def tag(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Text files; none, or -, is standard input.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR_OR_ID",
            help="Folder or hub id of the model; by default the contract model that ships with longspan.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a file and line: file, characters, tokens, passages.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Also write an HTML page with the passages highlighted.")
    ] = None,
    min_score: Annotated[
        float, typer.Option(metavar="NUMBER", min=0.0, max=1.0, help="Leave out passages of a lower confidence.")
    ] = 0.0,
    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Encoding of the files; by default what a byte-order mark says, else UTF-8."),
    ] = None,
) -> None:
    """Find passages in text files, each document in one forward pass.

    The model that ships with longspan marks twelve kinds of passages in English commercial contracts.

    Offsets are code points of the text as read: CRLF counts as two (the model reads it as LF), a byte-order mark is not
    part of the text, and what is not text in its encoding is refused, never repaired.

    With --json, each passage is an object with category, start, end (excluded), score (0 to 1) and text.

    Exit codes: 0 fine; 1 a file or the model could not be read (all other files are still done); 2 wrong usage.
    """
    from longspan.predict.html import TaggedDocument, render_page
    from longspan.predict.reading import STDIN, UnreadableTextError

    if html is not None:
        check_page_path(html, files or [])
    check_encoding(encoding)
    sources = files or [STDIN]
    tagger = None
    documents: list[TaggedDocument] = []
    failed = False
    console = out()
    with progress(len(sources)) as bar:
        for number, source in enumerate(sources):
            bar.update(bar.task_ids[0], description=source, completed=number)
            try:
                text = read_document(source, encoding)
                tagger = tagger or load_tagger(model)
                result = tagger(text, progress=set_share(bar, number))
            except ValueError as error:
                with above(bar):
                    complain(str(error) if isinstance(error, UnreadableTextError) else f"{source}: {error}")
                failed = True
                continue
            passages = [p for p in result.passages if p.score >= min_score]
            document = TaggedDocument(source, text, passages, [f"{result.n_tokens:,} tokens"])
            with above(bar):
                if as_json:
                    typer.echo(_json_line(document, result.n_tokens))
                else:
                    console.print(passage_table(text, passages, f"{source}: {len(passages)} passages"))
            if html is not None:
                documents.append(document)
    if html is not None and documents:
        write_page(html, render_page(documents))
    if failed:
        raise typer.Exit(EXIT_UNREADABLE)


def _json_line(document: TaggedDocument, n_tokens: int) -> str:
    passages = [
        {
            "category": p.category,
            "start": p.start,
            "end": p.end,
            "score": round(p.score, 4),
            "text": document.text[p.start : p.end],
        }
        for p in document.passages
    ]
    # ASCII, so that the output does not depend on the locale.
    return json.dumps(
        {"file": document.name, "characters": len(document.text), "tokens": n_tokens, "passages": passages}
    )
