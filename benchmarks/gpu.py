"""``python -m benchmarks.gpu``: check every backend on a CUDA device, then time it against its peers.

Within eight minutes: what the time does not reach is named. Writes ``benchmarks/results/gpu.json``. With ``--quick``
the same code runs at tiny sizes, on the CPU where there is no GPU, and nothing is saved.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import Any

import torch

from . import gpu_parts
from .gpu_checks import check_backend
from .gpu_clock import Clock
from .gpu_goals import goals_table, judge, ratios, ratios_table
from .gpu_models import Models
from .machine import commit, machine
from .results import RESULTS, quiet
from .sizes import sizes

# the most telling lengths first: the time may end before the last
LENGTHS = (4096, 32_768, 131_072, 8192, 16_384, 65_536)
QUICK_LENGTHS = (256,)
# no case begins after so many seconds; the longest should take half a minute
BUDGET = 400.0


def main(arguments: list[str] | None = None) -> None:
    """Read the arguments and run; a failed check is a failed run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, also on a CPU; nothing is saved")
    quick = parser.parse_args(arguments).quick
    if not torch.cuda.is_available() and not quick:
        sys.exit("torch finds no CUDA device, and without a GPU there is no GPU figure. --quick runs it on the CPU.")
    quiet()
    result = measure(torch.device("cuda" if torch.cuda.is_available() else "cpu"), quick)
    sys.stdout.write(table(result))
    if not quick:
        save(result, RESULTS)
    failed = [row for row in result["checks"] if not row.get("passed", True)]
    if failed:
        sys.exit("wrong: " + "; ".join(f"{row['backend']}, {row['dtype']}, {row['case']}" for row in failed))


def measure(device: torch.device, quick: bool) -> dict[str, Any]:
    """Checks, then times."""
    size, clock = sizes(quick), Clock(device, quick, BUDGET)
    lengths = QUICK_LENGTHS if quick else LENGTHS
    dtype = torch.bfloat16 if clock.on_gpu else torch.float32
    checks = [row for backend in gpu_parts.BACKENDS for row in check_backend(backend, device, quick)]
    rate = clock.matrix_rate()
    models = Models(size, max(lengths), device, dtype)
    for tokens in lengths:
        gpu_parts.attention(clock, size, tokens, dtype)
        models.measure(clock, tokens)
    rate = max(rate, clock.matrix_rate())
    for row in clock.rows:
        if "flops_per_second" in row:
            row["fraction_of_matrix_rate"] = row.pop("flops_per_second") / rate
    rows = sorted(clock.rows, key=lambda row: (row["part"], row["tokens"]))
    name = torch.cuda.get_device_name(device) if clock.on_gpu else "CPU"
    return {
        "device": name,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "machine": {**machine(), "cuda": torch.version.cuda},
        "dtype": str(dtype).removeprefix("torch."),
        "matrix_tflops": rate / 1e12,
        "verified": {b: [name] for b in gpu_parts.BACKENDS if b != "sdpa" and clock.on_gpu and _verified(checks, b)},
        "checks": checks,
        "goals": judge(clock.rows, lengths) if clock.on_gpu and not quick else [],
        "rows": rows,
        "ratios": ratios(rows),
        "left_out": clock.left_out,
        "seconds": clock.spent(),
    }


def _verified(checks: list[dict[str, Any]], backend: str) -> bool:
    """Everything that was run of the backend is right, gradients included."""
    rows = [row for row in checks if row["backend"] == backend and "skipped" not in row]
    return bool(rows) and all(row["passed"] and "no_gradients" not in row for row in rows)


def table(result: dict[str, Any]) -> str:
    """Everything as Markdown: the checks in a line each, the times in one table."""
    lines = [f"{result['device']}, {result['matrix_tflops']:.3g} TFLOP/s in products of bfloat16 matrices", ""]
    for row in result["checks"]:
        where = f"{row['backend']}, {row['dtype']}, {row['case']}"
        if "skipped" in row:
            lines.append(f"- {where}: not run. {row['skipped']}")
            continue
        if "broke" in row:
            lines.append(f"- {where}: WRONG. {row['broke']}")
            continue
        worst = max(row["errors_over_reference"].values())
        note = f"; forward only. {row['no_gradients']}" if "no_gradients" in row else ""
        lines.append(f"- {where}: {'right' if row['passed'] else 'WRONG'}, {worst:.2f} of the reference's error{note}")
    lines += ["", *goals_table(result["goals"]), "", *ratios_table(result["ratios"])]
    lines += [
        "",
        f"| {result['dtype']} | tokens | contender | ms (quartiles) | peak MiB | fraction of the matrix rate | error "
        "| gradient error |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        if "skipped" in row:
            cells = [f"no speed: {row['skipped']}", "", "", "", ""]
        else:
            peak, fraction = row["peak_bytes"], row.get("fraction_of_matrix_rate")
            cells = [
                "{median:.3f} ({low:.3f} to {high:.3f})".format(**{k: v * 1e3 for k, v in row["seconds"].items()}),
                "" if peak is None else f"{peak / 2**20:.0f}",
                "" if fraction is None else f"{fraction:.2f}",
                f"{row['error']:.1e}",
                f"{row['gradient_error']:.1e}" if "gradient_error" in row else "",
            ]
        lines.append(f"| {row['part']} | {row['tokens']} | {row['name']} | {' | '.join(cells)} |")
    left_out = "; ".join(result["left_out"]) or "nothing"
    lines += ["", f"{result['seconds']:.0f} s. Left out for want of time: {left_out}."]
    return "\n".join(lines) + "\n"


def save(result: dict[str, Any], folder: Path) -> Path:
    """Write ``folder/gpu.json``."""
    path = folder / "gpu.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
