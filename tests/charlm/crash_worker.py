"""Kills a run again and again and compares its end with an unharmed one's.

Run by test_crash.py in a process of its own: ``python -m tests.charlm.crash_worker FOLDER SEED``. Prints a line of
JSON: how often it was killed, and the hashes of both runs' weights, optimizers and scores.
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

import longspan.charlm.evaluating  # (before forking, for it takes seconds)
import longspan.charlm.objective
import longspan.train.loop
from longspan.charlm.run import train
from tests.charlm.toys import STAGES, make_recipe, write_text

SLOW = 0.05
"""Seconds that a step takes longer in the run that is killed."""


def work(data: Path, out: Path, slow: float) -> None:
    torch.set_num_threads(1)
    # a checkpoint after every step
    longspan.train.loop.Schedule = partial(longspan.train.loop.Schedule, save_every=0.0)  # type: ignore
    loss = longspan.charlm.objective.NextCharacters.forward

    def slowly(self: Any, step: int) -> Any:
        time.sleep(slow)
        return loss(self, step)

    longspan.charlm.objective.NextCharacters.forward = slowly  # type: ignore[method-assign]
    stages = [{**STAGES[0], "steps": 9}, {**STAGES[1], "steps": 9}]
    train(make_recipe(stages, dropout=0.1, validate=500), data, out)


def digest(out: Path) -> str:
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    tensors = list(state["objective"].values())
    tensors += [x for o in state["optimizers"] for of in o["state"].values() for x in of.values()]
    result = json.loads((out / "result.json").read_text())
    told = json.dumps([result["bits_per_character"], [line["bits_per_character"] for line in result["stages"]]])
    saved = (out / "model" / "model.safetensors").read_bytes()
    content = b"".join(x.numpy().tobytes() for x in tensors) + told.encode() + saved
    return hashlib.sha256(content).hexdigest()


def start(*arguments: Any) -> Any:
    # forked before anything has started a thread
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def main(folder: Path, seed: int) -> None:
    data = write_text(folder / "words.txt", 20_000)
    straight = start(data, folder / "straight", 0.0)
    straight.join()
    assert straight.exitcode == 0
    rng = random.Random(seed)
    kills = 0
    while kills < 8:
        process = start(data, folder / "killed", SLOW)
        process.join(rng.uniform(0.2, 0.8))
        if not process.is_alive():
            break
        process.kill()
        process.join()
        kills += 1
    last = start(data, folder / "killed", 0.0)
    last.join()
    assert last.exitcode == 0, "the last part of the run failed"
    hashes = {name: digest(folder / name) for name in ("straight", "killed")}
    sys.stdout.write(json.dumps({"kills": kills, **hashes}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
