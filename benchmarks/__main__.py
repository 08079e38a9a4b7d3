"""``python -m benchmarks PART``: run a part of the benchmark, or all of them, and write the report.

``all`` is what ``make bench`` runs. ``million`` takes a quarter of an hour by itself and is not in it. ``report`` only
writes the tables and pictures of the results that are there.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path

import torch

from .report import group_table, write_report
from .results import RESULTS, Run, quiet

PARTS = ("startup", "attention", "nystrom", "short", "forward", "ragged", "train", "length", "long")
EXTRA = ("million",)
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
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    parts = {"all": (*PARTS, *EXTRA) if arguments.quick else PARTS, "report": ()}.get(arguments.part, (arguments.part,))
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            failed = run_parts(parts, True, Path(folder))
            write_report(Path(folder), Path(folder))
    else:
        failed = run_parts(parts, False, RESULTS)
        write_report(RESULTS, PICTURES)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run_parts(parts: tuple[str, ...], quick: bool, folder: Path) -> list[str]:
    """Run parts, save each one's result in ``folder``, print its tables; returns the parts that failed."""
    quiet()
    failed = []
    for part in parts:
        run = Run(part, quick)
        try:
            import_module(f".parts.{part}", __package__).fill(run)
        except Exception:
            traceback.print_exc()
            failed.append(part)
            continue
        run.finish(folder)
        for group in run.groups:
            sys.stdout.write(f"\n{group['title']}\n\n{group_table(group)}\n")
        sys.stdout.flush()
        gc.collect()
    return failed


if __name__ == "__main__":
    main()
