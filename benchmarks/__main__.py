"""``python -m benchmarks PART``: run a part of the benchmark, or all of them, and write the report.

``all`` is what ``make bench`` runs. ``million`` takes a quarter of an hour by itself and is not in it. ``report`` only
writes the tables and pictures of the results that are there.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from .measure import reason
from .report import group_table, write_report
from .results import RESULTS, Run, quiet

PARTS = ("startup", "attention", "nystrom", "layer", "short", "forward", "ragged", "train", "length", "long")
EXTRA = ("million",)
OWN = ("keras",)
"""Parts with a command of their own."""
PICTURES = Path(__file__).parents[1] / "docs" / "images"


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, *EXTRA, "all", "report"])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; nothing is saved")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch (default: all cores)")
    arguments = parser.parse_args()
    if arguments.quick and arguments.part == "report":
        parser.error("report runs nothing: leave --quick out")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            failed = run_parts((*PARTS, *EXTRA) if arguments.part == "all" else (arguments.part,), True, Path(folder))
            write_report(Path(folder), Path(folder))
    elif arguments.part == "all":
        # Each in a process of its own: what earlier work left in the allocator changes the cost of page faults.
        command = [sys.executable, "-m", "benchmarks", "--threads", str(torch.get_num_threads())]
        failed = [part for part in PARTS if subprocess.run([*command, part]).returncode]
        write_report(RESULTS, PICTURES)  # a part that was killed wrote none
    else:
        failed = run_parts(() if arguments.part == "report" else (arguments.part,), False, RESULTS)
        write_report(RESULTS, PICTURES)
    if failed:
        sys.exit(f"failed, and without any figure: {', '.join(failed)}")


def run_parts(parts: tuple[str, ...], quick: bool, folder: Path, **options: Any) -> list[str]:
    """Run parts, with ``options``, save each one's result in ``folder``, print its tables; returns those that failed.

    A part's old figures are gone as soon as it begins: the file says that it did not finish until it has, also where
    the process is killed.
    """
    quiet()
    failed = []
    for part in parts:
        run = Run(part, quick)
        run.fail(folder, "it did not finish")
        try:
            import_module(f".parts.{part}", __package__).fill(run, **options)
            run.finish(folder)
        except Exception as error:
            traceback.print_exc()
            run.fail(folder, reason(error))
            failed.append(part)
            continue
        for group in run.groups:
            sys.stdout.write(f"\n{group['title']}\n\n{group_table(group, run.measures)}\n")
        sys.stdout.flush()
        gc.collect()
    return failed


if __name__ == "__main__":
    main()
