"""The command `longspan`."""

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from longspan import __version__
from longspan.cli.answer import answer
from longspan.cli.charlm import app as charlm
from longspan.cli.classify import classify
from longspan.cli.convert import convert
from longspan.cli.demo import demo
from longspan.cli.embed import embed
from longspan.cli.evaluate import evaluate
from longspan.cli.fill import fill
from longspan.cli.info import info
from longspan.cli.lra import app as lra
from longspan.cli.predict import predict
from longspan.cli.tag import tag
from longspan.cli.train import train

app = typer.Typer(
    name="longspan",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"longspan {__version__}")
        raise typer.Exit


@app.callback()
def _longspan(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Longformer and Nyströmformer for long documents."""


app.command(short_help="Find passages in text files.")(tag)
app.command(short_help="Answer questions about text files.")(answer)
app.command(short_help="Say what text files are: a class, several, a number.")(classify)
app.command(short_help="Fill the gaps of text files.")(fill)
app.command(short_help="Make a vector of each text file.")(embed)
app.command(short_help="Train a model on a task.")(train)
app.command(short_help="Score a checkpoint on labelled data.")(evaluate)
app.command(short_help="Write what a checkpoint says of each row of a data set.")(predict)
app.command(short_help="Read a real contract in one pass and show what it holds.")(demo)
app.command(short_help="Make a long model of a short one.")(convert)
app.add_typer(lra, name="lra", short_help="Long Range Arena: data, runs and their report.")
app.add_typer(charlm, name="charlm", short_help="Character language models: training, scores, text.")
app.command(short_help="Print versions, devices and attention backends.")(info)


def main() -> None:
    """Run the command line; the entry point of the package."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale that lacks a character is no reason to fail
    app()
