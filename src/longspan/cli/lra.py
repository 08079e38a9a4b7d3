"""`longspan lra`: data, runs and the report of Long Range Arena."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from longspan.cli.assignments import read_assignments
from longspan.cli.console import fail, one_line, out, printable, user_errors
from longspan.cli.options import Device, OneJson, Settings, Threads, check_choice, set_threads
from longspan.cli.training_progress import training_progress

app = typer.Typer(no_args_is_help=True)


@app.callback()
def lra() -> None:
    """Long Range Arena: five tasks on long sequences, by the published protocols."""


@app.command(short_help="Draw the rows of ListOps or Pathfinder.")
def generate(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="listops, pathfinder32 or pathfinder64.", show_default=False)
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="New folder for the rows.", show_default=False)
    ],
    difficulty: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of Pathfinder: easy, intermediate or hard, which is the default."),
    ] = None,
    train: Annotated[int | None, typer.Option(min=1, metavar="ROWS", help="By default as published.")] = None,
    validation: Annotated[int | None, typer.Option(min=1, metavar="ROWS", help="By default as published.")] = None,
    test: Annotated[int | None, typer.Option(min=1, metavar="ROWS", help="By default as published.")] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Another one for other rows.")] = 0,
    processes: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="How many work; the rows are the same for any number.")
    ] = 1,
    min_length: Annotated[
        int | None, typer.Option(min=0, metavar="TOKENS", help="Of ListOps: rows are longer; 500 by default.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="Of ListOps: rows are shorter; 2,000 by default.")
    ] = None,
    max_depth: Annotated[
        int | None, typer.Option(min=1, metavar="NODES", help="Of ListOps: how deep lists nest; 10 by default.")
    ] = None,
    max_args: Annotated[
        int | None, typer.Option(min=2, metavar="NUMBER", help="Of ListOps: most arguments; 10 by default.")
    ] = None,
) -> None:
    """Draw training, validation and test rows by the published rules.

    Exit codes: 0 fine; 1 there are no such rows, or the folder cannot be written; 2 wrong usage.
    """
    from longspan.lra.generating import generate_listops, generate_pathfinder
    from longspan.lra.listops import ListOpsRules
    from longspan.lra.pathfinder_rules import DIFFICULTIES, published_rules
    from longspan.lra.protocols import ROWS

    lengths = {"min_length": min_length, "max_length": max_length, "max_depth": max_depth, "max_args": max_args}
    given = {name: value for name, value in lengths.items() if value is not None}
    check_choice(task, ("listops", "pathfinder32", "pathfinder64"), "TASK")
    if given and task != "listops":
        raise typer.BadParameter(f"{', '.join(given)}: of listops only", param_hint="TASK")
    if difficulty is not None and task == "listops":
        raise typer.BadParameter("of Pathfinder only", param_hint="--difficulty")
    check_choice(difficulty or "hard", list(DIFFICULTIES), "--difficulty")
    published = ROWS[task]
    rows = (train or published["train"], validation or published["validation"], test or published["test"])
    with training_progress(True) as tell:

        def on_rows(done: int, total: int) -> None:
            if done % 50 == 0 or done == total:
                tell("generating", done, total, {})

        shared = {"rows": rows, "seed": seed, "processes": processes, "on_rows": on_rows}
        try:
            if task == "listops":
                generate_listops(out_folder, ListOpsRules(**given), **shared)  # type: ignore[arg-type]
            else:
                rules = published_rules(int(task.removeprefix("pathfinder")), difficulty or "hard")
                generate_pathfinder(out_folder, rules, **shared)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            fail(one_line(error))
    out().print(f"{printable(str(out_folder))}: {sum(rows):,} rows", soft_wrap=True)


@app.command(short_help="Train a model on a task and test it.")
def run(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="listops, text, retrieval, image, pathfinder32 or pathfinder64.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="longformer, nystromformer or softmax.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Published files, generated rows, or the folder data of a run.", show_default=False
        ),
    ],
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run.", show_default=False)],
    protocol: Annotated[str, typer.Option(metavar="NAME", help="nystromformer or original.")] = "nystromformer",
    steps: Annotated[int | None, typer.Option(metavar="NUMBER", min=1, help="Optimizer steps.")] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Of weights, dropout and order.")] = 0,
    device: Device = None,
    threads: Threads = None,
    set_: Settings = None,
    as_json: OneJson = False,
) -> None:
    """Train a model on a task by a protocol, and test the weights of the best evaluation.

    Run again with the same options, it resumes, to the same last bit. The result is in DIR/result.json, for
    `longspan lra report`; settings that differ from the protocol are listed in it.

    Exit codes: 0 fine; 1 the data or the folder cannot be used; 2 wrong usage.
    """
    from longspan.lra.protocols import MODELS, PROTOCOLS, SETTING_KINDS, TASKS

    check_choice(task, TASKS, "TASK")
    check_choice(model, MODELS, "--model")
    check_choice(protocol, list(PROTOCOLS), "--protocol")
    changes = read_assignments(set_, {name: (kind,) for name, kind in SETTING_KINDS.items()}, "--set")
    if steps is not None:
        changes["steps"] = steps
    with user_errors("--set batch or --set width"):
        set_threads(threads)
        from longspan.lra.run import run_task

        try:
            with training_progress(True) as tell:
                result = run_task(
                    task,
                    data,
                    out_folder,
                    model=model,
                    protocol=protocol,
                    changes=changes,
                    seed=seed,
                    device=device,
                    on_progress=tell,
                )
        except TypeError as error:
            raise ValueError(str(error)) from None
    if as_json:
        typer.echo(json.dumps(result))
        return
    console = out()
    rows = result["rows"]["test"]
    console.print(
        f"{100 * result['accuracy']:.2f} % of {rows:,} test rows, with the weights of step {result['best_step']:,}"
    )
    console.print(f"{result['steps']:,} steps, {result['steps_per_second']:.2f} a second", soft_wrap=True)
    for change in result["changes"]:
        console.print(f"differs from the protocol: {change}", soft_wrap=True)


@app.command(short_help="Print the table of runs, published scores beside measured ones.")
def report(
    paths: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Folders of runs, or of results.", show_default=False)
    ],
) -> None:
    """Print a table in Markdown: published and measured accuracy, speed, memory, and what differed.

    Runs that differ in their seeds only are one line, with mean and standard deviation.

    Exit codes: 0 fine; 1 there is no result; 2 wrong usage.
    """
    from longspan.lra.report import find_results, render

    try:
        text = render(find_results(paths))
    except (OSError, ValueError) as error:
        fail(one_line(error))
    typer.echo(text, nl=False)
