"""``python -m benchmarks.keras``: measure longspan.keras on TensorFlow and write the report.

With ``--old`` it is measured beside the last TensorFlow Longformer of ``transformers``, 4.57, in an environment that is
built for it in the user's cache, with the versions of ``keras_old.txt``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from .__main__ import PICTURES, run_parts
from .report import write_report
from .results import RESULTS


def main(given: list[str] | None = None) -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.keras", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", action="store_true", help="beside transformers 4.57, whose environment is built")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; nothing is saved")
    parser.add_argument("--threads", type=int, default=None, help="of TensorFlow and torch (default: all cores)")
    arguments = parser.parse_args(given)
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            failed = run_parts(("keras",), True, Path(folder), old=arguments.old)
    else:
        failed = run_parts(("keras",), False, RESULTS, old=arguments.old)
        write_report(RESULTS, PICTURES)
    if failed:
        sys.exit("failed, and without any figure")


if __name__ == "__main__":
    main()
