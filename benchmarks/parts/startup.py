"""What longspan costs before and beside its work: import, threads, compilation, and memory over many passes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

import torch

from ..models import LONGFORMER, build
from ..results import Run
from ..sizes import sizes

TITLE = "Start and long service"
PASSES = 500
LAYERS = 2

IMPORT = """
import json, os, sys, time
start = time.perf_counter()
import longspan
seconds = time.perf_counter() - start
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None
print(json.dumps({"seconds": seconds, "torch": "torch" in sys.modules, "threads": threads}))
"""
SERVICE = """
import json, sys
from benchmarks.parts.startup import serve
print(json.dumps(serve(*json.loads(sys.argv[1]))))
"""


def fill(run: Run) -> None:
    """Fresh processes that import, and one that reads texts of many lengths."""
    repetitions = 2 if run.quick else 11
    imports = [_python(IMPORT) for _ in range(repetitions)]
    run.measure("startup.import", [done["seconds"] for done in imports])
    run.measure("startup.torch", [float(any(done["torch"] for done in imports))])
    if imports[0]["threads"] is None:
        run.skip("startup.threads", "threads are counted on Linux only")
    else:
        run.measure("startup.threads", [float(max(done["threads"] for done in imports))])
    passes = 20 if run.quick else PASSES
    run.say(f"{passes} passes of varying lengths")
    threads = torch.get_num_threads()
    served = serve(passes, True, threads) if run.quick else _python(SERVICE, json.dumps([passes, False, threads]))
    run.measure("startup.compiled", [float(served["compiled"])])
    resident = served["resident"]
    if resident:
        fifth = passes // 5
        grown = statistics.median(resident[-fifth:]) - statistics.median(resident[fifth : 2 * fifth])
        run.measure("startup.growth", [grown / 2**20])
    else:
        run.skip("startup.growth", "resident memory is known on Linux only")
    rows = [
        {"what": "seconds of `import longspan` in a fresh process", "key": "startup.import"},
        {"what": "torch among the modules after it (1: yes)", "key": "startup.torch"},
        {"what": "threads of the process after it", "key": "startup.threads"},
        {"what": f"graphs compiled in {passes} passes", "key": "startup.compiled"},
        {"what": f"MiB that {passes} passes of 1 to 1,024 tokens added after the first fifth", "key": "startup.growth"},
    ]
    run.groups.append({"title": "In fresh processes", "kind": "values", "rows": rows})
    run.notes.append(f"The passes are those of a base-size Longformer of {LAYERS} layers with one global token.")


def _python(code: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def serve(passes: int, quick: bool, threads: int) -> dict[str, Any]:
    """Read texts of random lengths; resident memory after each pass in bytes, and how many graphs were compiled."""
    torch.set_num_threads(threads)
    reader = build(LONGFORMER, sizes(quick), 1024, LAYERS)
    lengths = torch.rand(passes, generator=torch.Generator().manual_seed(0)).mul(10).exp2().long().clamp(1, 1024)
    resident = []
    for length in lengths.tolist():
        reader(torch.full((1, length), 5))
        try:
            with open("/proc/self/statm") as file:
                resident.append(int(file.read().split()[1]) * 4096)
        except OSError:
            resident = []
    dynamo = sys.modules.get("torch._dynamo.utils")
    return {"resident": resident, "compiled": dynamo.counters["stats"]["unique_graphs"] if dynamo else 0}
