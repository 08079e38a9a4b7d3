"""What the commands share: where they print, errors, the table of passages, how a model is loaded."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from longspan.predict.tag import Tagger
    from longspan.tasks.examples import BadRow
    from longspan.tasks.passages import Passage

EXIT_UNREADABLE = 1
EXIT_USAGE = 2  # what typer itself uses


def out() -> Console:
    """Return the console of standard output, made anew so that redirection is seen."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    return console


def err() -> Console:
    """Return the console of standard error."""
    return Console(stderr=True, highlight=False)


def fail(message: str, code: int = EXIT_UNREADABLE) -> NoReturn:
    """Print an error and end the command."""
    complain(message)
    raise typer.Exit(code)


def complain(message: str) -> None:
    """Print an error and go on."""
    err().print(Text.assemble(("longspan: ", "bold red"), printable(message)), soft_wrap=True)


def load_tagger(model: str | None) -> Tagger:
    """Load the model; an unusable one ends the command."""
    from safetensors import SafetensorError

    from longspan.predict.tag import Tagger

    logging.getLogger("longspan").setLevel(logging.WARNING)
    try:
        return Tagger.from_pretrained(model)
    except (OSError, ValueError, SafetensorError) as error:
        fail(f"cannot load the model{'' if model is None else f' {model}'}: {error}")


def one_line(error: Exception) -> str:
    """An error's message on one line; that of a file begins with the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def user_errors(
    less_memory: str = "--batch-tokens or --max-length", speaks: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """End the command with one line where the block raises what a user can mend; the libraries' own bars are off.

    Args:
        less_memory: the options that, made smaller, need less memory.
        speaks: whether this process says it, which is one of several that fail alike.
    """
    from safetensors import SafetensorError

    from longspan.models.quiet import quiet_transformers

    logging.getLogger("longspan").setLevel(logging.WARNING)
    try:
        with quiet_transformers():
            yield
    except BrokenPipeError:  # whoever reads the output has had enough: the command ends without a word
        raise
    except (OSError, ValueError, ImportError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError):
            # torch.OutOfMemoryError on accelerators, a plain RuntimeError of the allocator on a CPU
            if "out of memory" not in str(error) and "allocate memory" not in str(error):
                raise
            fail(f"there is not enough memory; a smaller {less_memory} needs less")  # others may have had enough
        if not speaks():
            raise typer.Exit(EXIT_UNREADABLE) from None
        fail(one_line(error))


def tell_skipped(count: int, faults: Sequence[BadRow]) -> None:
    """Name the bad rows that were left out, on standard error."""
    for fault in faults:
        complain(f"left out {fault.error()}")
    if count > len(faults):
        complain(f"and {count - len(faults):,} more")


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """Show a bar over ``total`` documents on standard error while the block runs; nothing where it is no terminal."""
    console = err()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Rich would otherwise send what is printed to standard output to standard error while the bar stands.
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bar:
        bar.add_task("", total=total)
        yield bar


@contextmanager
def count_windows(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the block runs; gives what is called with (windows done, windows in all)."""
    with progress(1) as bar:
        bar.update(bar.task_ids[0], description=f"checking {description}")

        def show(done: int, total: int) -> None:
            bar.update(bar.task_ids[0], description=description, completed=done, total=total)

        yield show


@contextmanager
def above(bar: Progress) -> Iterator[None]:
    """Take the bar away while the block prints."""
    bar.stop()
    yield
    bar.start()


def set_share(bar: Progress, finished: int) -> Callable[[int, int], None]:
    """Return what a tagger calls after each layer: the bar stands at ``finished`` documents and a part of the next."""

    def layer_done(done: int, layers: int) -> None:
        bar.update(bar.task_ids[0], completed=finished + done / layers)

    return layer_done


def check_page_path(path: Path, inputs: Sequence[str] = ()) -> None:
    """Refuse a page that could never be written, or that would replace an input, before any work is done."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{path} is not a file in a folder that exists", param_hint="--html")
    if path.exists() and any(Path(name).exists() and path.samefile(name) for name in inputs):
        raise typer.BadParameter(f"{path} is one of the files to read: it would be replaced", param_hint="--html")


def write_page(path: Path, page: str) -> None:
    """Write a page; where that fails, the command ends."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror or error}")


def passage_table(text: str, passages: Sequence[Passage], title: str, width: int = 160) -> Table:
    """Return a table of passages; each is shown on at most ``width`` characters."""
    table = Table(title=printable(title), title_justify="left", title_style="bold", header_style="dim", expand=False)
    table.add_column("Category", no_wrap=True)
    table.add_column("Passage", ratio=1, overflow="fold")
    table.add_column("Confidence", justify="right")
    table.add_column("Characters", justify="right", no_wrap=True)
    for p in passages:
        words = printable(" ".join(text[p.start : p.end].split()))
        shown = words if len(words) <= width else words[: width - 1] + "…"
        table.add_row(Text(p.category, style="cyan"), Text(shown), f"{p.score:.0%}", f"{p.start}-{p.end}")
    return table


def printable(text: str) -> str:
    """Return ``text`` without control characters and lone surrogates, which could steer or break a terminal."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") and c != "\n" else c for c in text)
