"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="Text files; none, or -, is standard input.", show_default=False),
]
Model = Annotated[str, typer.Option(metavar="DIR_OR_ID", help="Folder or hub id of the model.")]
Checkpoint = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Folder or hub id of the model.")]
Data = Annotated[str, typer.Argument(metavar="DATA", help="File or folder in a form that the checkpoint's task reads.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a file and line.")]
OneJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TextEncoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="Encoding of the files; by default what a byte-order mark says, else UTF-8.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, ...; by default the first accelerator, else the CPU."),
]
Threads = Annotated[int | None, typer.Option(metavar="NUMBER", min=1, help="Threads of PyTorch on a CPU.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be given again."),
]
MaxLength = Annotated[
    int | None,
    typer.Option(metavar="TOKENS", min=1, help="Length of a window; by default as much as the model reads."),
]
Stride = Annotated[
    int | None,
    typer.Option(metavar="TOKENS", min=0, help="Tokens that neighbouring windows share; by default 128, or less."),
]
BatchTokens = Annotated[
    int, typer.Option(metavar="TOKENS", min=1, help="Tokens of one batch, padding included; less saves memory.")
]
Layout = Annotated[
    str | None, typer.Option(metavar="NAME", help="Published layout of the data; by default as the file looks.")
]
TaskOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="Option of the task, such as a column's name; may be given again."
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out and count them, instead of stopping.")]


def check_choice(value: str, known: Sequence[str], hint: str) -> None:
    """Refuse a name that is none of those known, as wrong usage of the option or argument ``hint``."""
    if value not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}, got {value!r}", param_hint=hint)


def set_threads(threads: int | None) -> None:
    """Do what ``Threads`` asks for; None leaves PyTorch's choice."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
