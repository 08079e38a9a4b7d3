"""`longspan train`: train a model on a task."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longspan.cli.assignments import read_assignments
from longspan.cli.console import out, printable, user_errors
from longspan.cli.options import Layout, SkipBad, TaskOptions
from longspan.cli.training_progress import training_progress

if TYPE_CHECKING:
    from longspan.train.recipe import Recipe
    from longspan.train.result import Result


def train(
    task: Annotated[
        str,
        typer.Argument(metavar="TASK", help="mlm, classify, tag, answer, choose or wikihop.", show_default=False),
    ],
    data: Annotated[str, typer.Option(metavar="PATH", help="File or folder of training examples.", show_default=False)],
    out_folder: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Folder of the run: model, and what training needs.", show_default=False
        ),
    ],
    validation: Annotated[
        str | None, typer.Option(metavar="PATH", help="File or folder of validation examples.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="DIR_OR_ID", help="Checkpoint to start from.")] = None,
    scratch: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Start from new weights: tiny, mini, small or base.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of new weights: longformer (the default) or nystromformer.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="DIR_OR_ID",
            help="By default the checkpoint's, or with --scratch one that is trained on the data.",
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME_OR_FILE", help="Recipe to follow; other options win over it.")
    ] = None,
    layout: Layout = None,
    steps: Annotated[int | None, typer.Option(metavar="NUMBER", min=1, help="Optimizer steps.")] = None,
    epochs: Annotated[
        float | None, typer.Option(metavar="NUMBER", min=0.0, help="Passes over the data; 3 by default.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(metavar="ROWS", min=1, help="Rows that a process reads at once; 8 by default.")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(metavar="BATCHES", min=1, help="Batches of one optimizer step; 1 by default.")
    ] = None,
    lr: Annotated[float | None, typer.Option(metavar="NUMBER", min=0.0, help="Learning rate; 5e-5 by default.")] = None,
    lora: Annotated[
        int | None, typer.Option(metavar="RANK", min=1, help="Train low-rank adapters, merged at the end.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", min=0, help="0 by default.")] = None,
    option: TaskOptions = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other argument, such as max_length=512; may be given again."
        ),
    ] = None,
    skip_bad: SkipBad = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train a model on a task; run again with the same options, it resumes.

    The data is read to its last row before the first step. Checkpoints are written aside and named when they are whole,
    so a run can be killed at any time. DIR then holds the model with the best validation score.

    Under `torchrun --no-python` or `accelerate launch` several processes train together.

    Exit codes: 0 fine; 1 the data, the model or the folder cannot be used; 2 wrong usage.
    """
    with user_errors("--batch or --set max_length", _is_first):
        from longspan.tasks.options import option_kinds
        from longspan.tasks.registry import make_task, task_class
        from longspan.train.arguments import ARGUMENT_KINDS, Arguments
        from longspan.train.engine import train as run

        found = _read_recipe(recipe, task)
        options = read_assignments(option, option_kinds(task_class(task)), "--option")
        given = read_assignments(set_, ARGUMENT_KINDS, "--set")
        flags = {
            "steps": steps,
            "epochs": epochs,
            "batch": batch,
            "accumulate": accumulate,
            "lr": lr,
            "lora": lora,
            "seed": seed,
        }
        given |= {name: value for name, value in flags.items() if value is not None}
        if {"steps", "epochs"} <= given.keys():
            raise typer.BadParameter("give either steps or epochs", param_hint="--steps")
        if validation is not None:
            given.setdefault("holdout", 0.0)
        values = dict(found.arguments) if found else {}
        if given.keys() & {"steps", "epochs"}:
            values = {name: value for name, value in values.items() if name not in ("steps", "epochs")}
        try:
            arguments = Arguments.from_dict({**values, **given})
        except TypeError as error:
            raise ValueError(str(error)) from None
        if scratch is None and model is None and found is not None:
            scratch = found.scratch
        options = {**(found.options if found else {}), **options}
        if "seed" in option_kinds(task_class(task)):
            options.setdefault("seed", arguments.seed)
        made = make_task(task, options)
        with training_progress(_is_first()) as tell:
            result = run(
                made,
                data,
                out_folder,
                validation=validation,
                layout=layout or (found.layout if found else None),
                model=model,
                scratch=scratch,
                family=family or (found.family if found else "longformer"),
                tokenizer=tokenizer,
                skip_bad=skip_bad,
                arguments=arguments,
                on_progress=tell,
            )
    if _is_first():
        typer.echo(json.dumps(dataclasses.asdict(result))) if as_json else _print(result)


def _read_recipe(name: str | None, task: str) -> Recipe | None:
    from longspan.train.recipe import read_recipe

    if name is None:
        return None
    recipe = read_recipe(name)
    if recipe.task != task:
        raise ValueError(f"the recipe {recipe.name} is for the task {recipe.task}, not for {task}")
    return recipe


def _print(result: Result) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    table.add_column(style="cyan")
    table.add_column()
    for name, value in _lines(result).items():
        table.add_row(name, Text(printable(value)))
    console = out()
    console.print(Text(printable(f"{result.out}: the model"), style="bold"), soft_wrap=True)
    console.print(table)
    for line in result.bad:
        console.print(Text(f"left out: {printable(line)}"), soft_wrap=True)
    if result.skipped > len(result.bad):
        console.print(f"and {result.skipped - len(result.bad):,} more", soft_wrap=True)


def _lines(result: Result) -> dict[str, str]:
    lines: dict[str, Any] = {"steps": f"{result.steps:,} over {result.rows:,} rows"}
    if result.scores:
        lines["best step"] = f"{result.best_step:,}"
        lines |= {name: f"{value:.4f}" for name, value in result.scores.items()}
    if result.loss is not None:
        lines["training loss"] = f"{result.loss:.4f}"
    if result.skipped:
        lines["bad rows left out"] = f"{result.skipped:,}"
    if result.resumed is not None:
        lines["resumed"] = "nothing was left to do" if result.resumed >= result.steps else f"at step {result.resumed:,}"
    return lines


def _is_first() -> bool:
    """Whether this process speaks for all."""
    return int(os.environ.get("RANK", "0")) == 0
