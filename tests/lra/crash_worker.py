"""Kills a run again and again and compares its end with an unharmed one's.

Run by test_crash.py in a process of its own: ``python -m tests.lra.crash_worker FOLDER MODEL SEED``. Prints a line of
JSON: how often it was killed, and the hashes of both runs' weights, evaluations and scores.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

import longspan.lra.objective  # (before forking, for it takes seconds)
import longspan.train.loop
from longspan.lra.run import run_task
from tests.lra.toys import write_toys

SLOW = 0.05
"""Seconds that a step takes longer in the run that is killed."""


def work(data: Path, out: Path, model: str, changes: dict[str, Any], slow: float) -> None:
    torch.set_num_threads(1)
    # a checkpoint after every step
    longspan.train.loop.Schedule = partial(longspan.train.loop.Schedule, save_every=0.0)  # type: ignore
    loss = longspan.lra.objective.RowLabels.forward

    def slowly(self: Any, step: int) -> Any:
        time.sleep(slow)
        return loss(self, step)

    longspan.lra.objective.RowLabels.forward = slowly  # type: ignore[method-assign]
    run_task("text", data, out, model=model, changes=changes)


def digest(out: Path) -> str:
    weights = torch.load(out / "checkpoint.pt", weights_only=True)
    best = torch.load(out / "best.pt", weights_only=True)
    tensors = [*weights["objective"].values(), *best.values()]
    tensors += [x for state in weights["optimizers"][0]["state"].values() for x in state.values()]
    history = json.loads((out / "history.json").read_text())["evaluations"]
    scores = [[line["step"], line["accuracy"], line["loss"]] for line in history]
    result = json.loads((out / "result.json").read_text())
    told = json.dumps([scores, result["accuracy"], result["loss"], result["best_step"]])
    content = b"".join(x.numpy().tobytes() for x in tensors) + told.encode()
    return hashlib.sha256(content).hexdigest()


def start(*arguments: Any) -> Any:
    # forked before anything has started a thread
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def main(folder: Path, model: str, seed: int) -> None:
    data = folder / "data"
    changes = write_toys("text", data)
    changes |= {"steps": 24, "evaluate_every": 6, "warmup": 4, "dropout": 0.1, "attention_dropout": 0.1, "batch": 8}
    straight = start(data, folder / "straight", model, changes, 0.0)
    straight.join()
    assert straight.exitcode == 0
    rng = random.Random(seed)
    kills = 0
    while kills < 8:
        process = start(data, folder / "killed", model, changes, SLOW)
        process.join(rng.uniform(0.2, 0.8))
        if not process.is_alive():
            break
        process.kill()
        process.join()
        kills += 1
    last = start(data, folder / "killed", model, changes, 0.0)
    last.join()
    assert last.exitcode == 0, "the last part of the run failed"
    hashes = {name: digest(folder / name) for name in ("straight", "killed")}
    sys.stdout.write(json.dumps({"kills": kills, **hashes}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
