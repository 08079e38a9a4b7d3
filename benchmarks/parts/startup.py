"""What longspan costs before and beside its work: import, threads, compilation, and memory over many passes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import torch

from ..memory import status, trim
from ..models import LONGFORMER, ROBERTA, build
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
print(json.dumps(serve(**json.loads(sys.argv[1]))))
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
    rows = [
        {"what": "seconds of `import longspan` in a fresh process", "key": "startup.import"},
        {"what": "torch among the modules after it (1: yes)", "key": "startup.torch"},
        {"what": "threads of the process after it", "key": "startup.threads"},
        {"what": f"graphs compiled in {passes} passes", "key": "startup.compiled"},
    ]
    for name, key in ((LONGFORMER, "startup.growth"), (ROBERTA, "startup.growth.roberta")):
        _service(run, name, key, passes)
        what = f"{name}: MiB that {passes} passes of 1 to 1,024 tokens added after the first fifth"
        rows.append({"what": f"{what}, after malloc_trim", "key": key})
        rows.append({"what": f"{what}, with what malloc keeps free", "key": f"{key}.untrimmed"})
    run.groups.append({"title": "In fresh processes", "kind": "values", "rows": rows})
    run.notes.append(
        f"The passes are those of base-size models of {LAYERS} layers, Longformer with one global token. Lengths vary, "
        "so malloc is left with holes, whatever the model: what counts is what is still held after `malloc_trim`."
    )


def _service(run: Run, name: str, key: str, passes: int) -> None:
    run.say(f"{name}, {passes} passes of varying lengths")
    arguments: dict[str, Any] = {"name": name, "passes": passes, "quick": run.quick, "threads": torch.get_num_threads()}
    served = serve(**arguments) if run.quick else _python(SERVICE, json.dumps(arguments))
    if name == LONGFORMER:
        run.measure("startup.compiled", [float(served["compiled"])])
    if "held" not in served:
        run.skip(key, "resident memory is known on Linux only")
        return
    run.measure(key, [(served["held"][1] - served["held"][0]) / 2**20])
    run.measure(f"{key}.untrimmed", [(served["resident"][1] - served["resident"][0]) / 2**20])


def _python(code: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def serve(name: str, passes: int, quick: bool, threads: int) -> dict[str, Any]:
    """Read texts of random lengths.

    Returns:
        Resident memory in bytes after the first fifth of the passes and after all, as it is (``resident``) and after
        ``malloc_trim`` (``held``), on Linux; and how many graphs were ``compiled``.
    """
    torch.set_num_threads(threads)
    reader = build(name, sizes(quick), 1024, LAYERS)
    lengths = torch.rand(passes, generator=torch.Generator().manual_seed(0)).mul(10).exp2().long().clamp(1, 1024)
    resident, held = [], []
    for count, length in enumerate(lengths.tolist(), start=1):
        reader(torch.full((1, length), 5))
        if count in (passes // 5, passes) and sys.platform == "linux":
            resident.append(status("VmRSS"))
            trim()
            held.append(status("VmRSS"))
    dynamo = sys.modules.get("torch._dynamo.utils")
    compiled = dynamo.counters["stats"]["unique_graphs"] if dynamo else 0
    return {"compiled": compiled, **({"resident": resident, "held": held} if held else {})}
