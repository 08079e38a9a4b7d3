"""``python -m benchmarks PART``: run a part of the benchmark and print its table."""

from __future__ import annotations

import argparse
import sys

import torch

PARTS = ("layer", "length")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; nothing is saved")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch (default: all cores)")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if arguments.part == "layer":
        from .layer import run
    else:
        from .length import run
    sys.stdout.write(run(quick=arguments.quick) + "\n")


if __name__ == "__main__":
    main()
