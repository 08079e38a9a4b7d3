"""Kills a training process again and again, at random and while it writes, and compares its end with an unharmed one.

Run by test_crash.py in a process of its own: ``python -m tests.train.crash_worker FOLDER FAMILY SEED``. Prints a line
of JSON: how often it was killed, how often in the middle of a checkpoint, and the hashes of both models.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

import longspan.train.trainer  # noqa: F401 (before forking, for it takes seconds)
from longspan.train import Arguments, checkpoints, train
from tests.train.parity import Parity, write_checkpoint, write_texts

ARGUMENTS = Arguments(steps=14, batch=4, accumulate=2, lr=3e-3, save_every=2, cpu=True)
SLOW = 0.15
"""Seconds that writing a manifest and naming a checkpoint take longer."""


def work(folder: Path, out: Path, slow: float) -> None:
    torch.set_num_threads(1)
    write, publish = checkpoints.write_manifest, checkpoints.publish

    def slowly(function: Any) -> Any:
        def call(*arguments: Any) -> None:
            time.sleep(slow)
            function(*arguments)

        return call

    checkpoints.write_manifest, checkpoints.publish = slowly(write), slowly(publish)
    data, validation = folder / "train.txt", folder / "validation.txt"
    train(Parity(), data, out, validation=validation, model=folder / "model", arguments=ARGUMENTS)


def digest(out: Path) -> str:
    files = [out / "model.safetensors", *sorted(out.glob("training/checkpoints/checkpoint-14/*.pt"))]
    return " ".join(hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files)


def start(folder: Path, out: Path, slow: float) -> Any:
    # forked before anything has started a thread
    process = multiprocessing.get_context("fork").Process(target=work, args=(folder, out, slow))
    process.start()
    return process


def half_written(out: Path) -> list[Path]:
    return [p for p in out.glob("training/checkpoints/.writing-*/checkpoint-*/model.safetensors")]


def main(folder: Path, family: str, seed: int) -> None:
    write_texts(folder / "train.txt", 30)
    write_texts(folder / "validation.txt", 6, seed=1)
    write_checkpoint(folder / "model", family, hidden_dropout_prob=0.1)
    straight = start(folder, folder / "straight", 0.0)
    straight.join()
    assert straight.exitcode == 0
    rng = random.Random(seed)
    out, kills, torn, faults = folder / "killed", 0, 0, []
    for attempt in range(40):
        process = start(folder, out, SLOW)
        if attempt % 2 == 0:  # in the middle of a checkpoint
            while process.is_alive() and not half_written(out):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 2 * SLOW))
        else:
            process.join(rng.uniform(0.1, 3.0))
        if not process.is_alive():
            break
        process.kill()
        process.join()
        kills += 1
        torn += bool(half_written(out))
        faults += [
            f
            for _, path in checkpoints.list_checkpoints(out / "training" / "checkpoints")
            if (f := checkpoints.find_fault(path))
        ]
        if kills == 8:
            process = start(folder, out, 0.0)
            process.join()
            break
    assert process.exitcode == 0, "the last part of the run failed"
    report = {
        "kills": kills,
        "torn": torn,
        "faults": faults,
        "straight": digest(folder / "straight"),
        "killed": digest(out),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    # tqdm has a lock that forked processes share: one that is killed while it holds it would stop all others
    logging.disable_progress_bar()
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
