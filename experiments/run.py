"""Runs of `longspan train` and `longspan evaluate`, one for each seed, written to a result file for each family.

    LONGSPAN_DATA=... python -m experiments.run wnut17 rte
    LONGSPAN_DATA=... python -m experiments.run imdb --family longformer --model runs/imdb-mlm -- --batch 8

What follows ``--`` are options of `longspan train`, which win over the recipe's. A run that is finished is not begun
again, and its test data is not read again; one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longspan.models.presets import SIZES

from .catalog import EXPERIMENTS, Experiment
from .data import Parts, data_folder, prepare
from .results import FOLDER, commit, write_result

FAMILIES = ("longformer", "nystromformer")


def main(argv: list[str] | None = None) -> None:
    """Run the named experiments."""
    parser = argparse.ArgumentParser(prog="python -m experiments.run", description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(EXPERIMENTS), metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--family", action="append", choices=FAMILIES, help="both by default")
    parser.add_argument("--model", help="checkpoint to start from, instead of the recipe's new weights")
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="folder of the runs")
    parser.add_argument("--made", type=Path, default=Path("runs/data"), help="folder for unpacked and split data")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder for the result files")
    given = sys.argv[1:] if argv is None else argv
    end = given.index("--") if "--" in given else len(given)
    arguments, options = parser.parse_args(given[:end]), given[end + 1 :]
    if arguments.model is not None and len(arguments.family or FAMILIES) > 1:
        parser.error("--model is a checkpoint of one family: name it with --family")
    code = commit()
    for name in arguments.names:
        experiment = EXPERIMENTS[name]
        for family in arguments.family or FAMILIES:
            runs = []
            for seed in experiment.seeds:
                parts = prepare(name, arguments.made, seed)
                folder = arguments.runs / f"{name}-{family}-{seed}"
                start = ["--model", arguments.model] if arguments.model else ["--family", family]
                runs.append(run_once(experiment, parts, folder, family, [*start, *options], seed))
                shown = ", ".join(f"{metric} {runs[-1]['test'][metric]:.4f}" for metric in experiment.metrics)
                print(f"{name} {family} seed {seed}: {shown}, {runs[-1]['cpu_seconds']} CPU seconds", flush=True)
            command = f"python -m experiments.run {name} --family {family}"
            command += f" --model {arguments.model}" if arguments.model else ""
            command += f" -- {shlex.join(options)}" if options else ""
            start = {"model": arguments.model} if arguments.model else _new_weights(experiment)
            print(write_result(name, family, command, runs, code, arguments.results, start=start), flush=True)


def run_once(
    experiment: Experiment, parts: Parts, folder: Path, family: str, options: Sequence[str], seed: int
) -> dict[str, Any]:
    """Train and evaluate with one seed, or return what the same run came to before.

    Args:
        experiment, parts: what is run.
        folder: of the run; ``record.json`` in it is what this function returns.
        family: of the model.
        options: of `longspan train`, besides data, recipe, seed and folder.
        seed: of the run.

    Raises:
        RuntimeError: a command failed; what it said is on standard error.
    """
    record = folder / "record.json"
    commands = [_train_command(experiment, parts, folder, options, seed), _test_command(parts, folder)]
    if record.exists():
        found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if found["commands"] != list(map(show, commands)):
            raise RuntimeError(f"{folder} holds another run: {found['commands'][0]}")
        return found
    began, code = time.process_time(), commit()
    trained = run_command(commands[0])
    tested = run_command(commands[1])
    found = {
        "system": family,
        "seed": seed,
        "commands": list(map(show, commands)),
        "commit": code,
        "rows": {"train": trained["rows"], "test": tested["rows"], "skipped": trained["skipped"] + tested["skipped"]},
        "steps": trained["steps"],
        "best_step": trained["best_step"],
        "validation": trained["scores"],
        "test": tested["scores"],
        "cpu_seconds": round(time.process_time() - began, 1),
        "resumed_at": trained["resumed"],
    }
    record.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _train_command(experiment: Experiment, parts: Parts, folder: Path, options: Sequence[str], seed: int) -> list[str]:
    recipe = experiment.recipe()
    command = ["longspan", "train", recipe.task, "--recipe", experiment.recipe_name(), "--data", str(parts.train)]
    if parts.validation is not None:
        command += ["--validation", str(parts.validation)]
    if parts.layout is not None:
        command += ["--layout", parts.layout]
    return [*command, *options, "--seed", str(seed), "--out", str(folder), "--skip-bad", "--json"]


def _test_command(parts: Parts, folder: Path) -> list[str]:
    layout = [] if parts.layout is None else ["--layout", parts.layout]
    return ["longspan", "evaluate", str(folder), str(parts.test), *layout, "--skip-bad", "--json"]


def show(command: Sequence[str]) -> str:
    """The command as it is written down: without the place of the data on this machine."""
    return shlex.join(command).replace(str(data_folder()), "$LONGSPAN_DATA")


def run_command(command: Sequence[str]) -> dict[str, Any]:
    """Run a `longspan` command in this process; the JSON object that it prints.

    Raises:
        RuntimeError: it failed.
    """
    from longspan.cli.main import app

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = app(list(command[1:]), standalone_mode=False)
    if code:
        raise RuntimeError(f"exit code {code}: {shlex.join(command)}")
    content: dict[str, Any] = json.loads(printed.getvalue())
    return content


def _new_weights(experiment: Experiment) -> dict[str, Any]:
    recipe = experiment.recipe()
    if recipe.scratch is None:
        raise ValueError(f"the recipe of {experiment.name} starts from a checkpoint: give --model")
    size = SIZES[recipe.scratch]
    return {"scratch": recipe.scratch, "layers": size.layers, "width": size.width}


if __name__ == "__main__":
    main()
