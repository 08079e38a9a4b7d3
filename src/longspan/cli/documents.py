"""What the commands that read text files share: reading each, going on after a bad one, the exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import typer

from longspan.cli.console import EXIT_UNREADABLE, above, complain, one_line, progress

Result = TypeVar("Result")


def check_encoding(encoding: str | None) -> None:
    """Refuse a text encoding that Python does not have."""
    try:
        b"a".decode(encoding or "utf-8", "ignore")  # codecs.lookup would also take those that are not of text
    except LookupError:
        raise typer.BadParameter(f"there is no encoding {encoding!r}", param_hint="--encoding") from None


def read_document(source: str, encoding: str | None) -> str:
    """The text of a file, or of standard input for "-".

    Raises:
        UnreadableTextError: it cannot be opened or is no text; the message names the file.
    """
    from longspan.predict.reading import UnreadableTextError, read_text

    try:
        return read_text(source, encoding)
    except OSError as error:
        raise UnreadableTextError(f"{source}: {error.strerror or error}") from None


def each_document(
    files: Sequence[str] | None,
    encoding: str | None,
    work: Callable[[str], Result],
    show: Callable[[str, str, Result], None],
) -> None:
    """Read each file, do the work on its text and show the result; a file that fails is named, and the others are done.

    A file of white space alone fails: whatever a model said of it would be said of nothing.

    Args:
        files: paths; none, or "-", is standard input.
        encoding: of the files.
        work: from a text to a result.
        show: called with the file's name, its text and the result.

    Raises:
        typer.Exit: with code 1, after all files, where one of them failed.
    """
    from longspan.predict.reading import STDIN, UnreadableTextError

    sources = files or [STDIN]
    failed = False
    with progress(len(sources)) as bar:
        for number, source in enumerate(sources):
            bar.update(bar.task_ids[0], description=source, completed=number)
            try:
                text = read_document(source, encoding)
                if not text.strip():
                    raise ValueError("there is no text in it")
                result = work(text)
            except ValueError as error:
                with above(bar):
                    message = one_line(error)
                    complain(message if isinstance(error, UnreadableTextError) else f"{source}: {message}")
                failed = True
                continue
            with above(bar):
                show(source, text, result)
    if failed:
        raise typer.Exit(EXIT_UNREADABLE)
