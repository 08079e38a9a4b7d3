"""Two gloo processes train as one process with the doubled batch does; and sharded ones save what one process loads.

Run by test_distributed.py in a process of its own: ``python -m tests.train.distributed_worker FOLDER``. Prints a line
of JSON: for each case, what both ways logged and the largest difference of their gradients.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.utils import logging

import longspan.train.trainer as trainer_module
from longspan.train import Arguments, engine, train
from tests.train.parity import Parity, write_checkpoint, write_texts

WORLD, STEPS = 2, 3
CASES = {
    "plain": ("Longformer", {}, {}),
    "own loss": ("Longformer", {}, {"own_loss": True}),
    "checkpointing": ("Longformer", {"checkpointing": True}, {}),
    "accumulate": ("Longformer", {"accumulate": 2}, {}),
    "nystromformer": ("Nystromformer", {"checkpointing": True}, {}),
    "fsdp": ("Longformer", {"fsdp": True}, {}),
}
STOP_AFTER = 4


class Watch(TrainerCallback):
    """Keeps the gradients of every step, on the first process; ends the process after a step."""

    def __init__(self, path: Path, stop: int | None) -> None:
        self.path, self.stop, self.steps = path, stop, []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        found = {}
        for name, parameter in kwargs["model"].named_parameters():
            assert parameter.grad is not None, name
            grad = parameter.grad
            found[name] = (grad.full_tensor() if hasattr(grad, "full_tensor") else grad).clone()
        self.steps.append(found)
        if state.is_world_process_zero:
            torch.save(self.steps, self.path)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.stop is not None and state.global_step == self.stop:
            torch.distributed.barrier()
            os._exit(0)


def work(folder: Path, out: Path, family: str, values: dict[str, Any], options: dict[str, Any], **how: Any) -> None:
    """One process of a run; ``how`` has its rank, the number of processes, and whether to stop after a step."""
    rank, processes, stop = how["rank"], how["processes"], how.get("stop")
    torch.set_num_threads(1)
    if processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"LOCAL_WORLD_SIZE": str(processes)}
        store = torch.distributed.FileStore(how["store"], processes)
        torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=processes)
    make, Trainer = engine.training_arguments, trainer_module.TaskTrainer

    def with_sgd(*arguments: Any) -> Any:
        # AdamW divides by the gradient: rounding in one that is 0 in truth would become a whole step
        settings = make(*arguments)
        if values.get("optim") != "adamw":
            settings.optim = "sgd"
        return settings

    class Watched(Trainer):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self.add_callback(Watch(Path(f"{out}.gradients"), stop))

    engine.training_arguments, trainer_module.TaskTrainer = with_sgd, Watched
    arguments = {"steps": STEPS, "batch": 4 // processes, "lr": 0.05, "clip": 0.0, "cpu": True, "save_every": 2}
    arguments |= {k: v for k, v in values.items() if k != "optim"}
    data, validation = folder / "train.txt", folder / "validation.txt"
    train(Parity(**options), data, out, validation=validation, model=folder / family, arguments=Arguments(**arguments))


def run(processes: int, folder: Path, out: Path, *case: Any, **how: Any) -> None:
    # forked before anything has started a thread; a new store, for a killed run leaves what it wrote in its own
    context = multiprocessing.get_context("fork")
    how |= {"processes": processes, "store": tempfile.mktemp(dir=folder)}
    workers = [
        context.Process(target=work, args=(folder, out, *case), kwargs={"rank": rank, **how})
        for rank in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit(f"{out.name}: {[worker.exitcode for worker in workers]}")


def read(out: Path) -> tuple[dict[str, Any], list[dict[str, torch.Tensor]]]:
    result = json.loads((out / "training" / "result.json").read_text())
    return result, torch.load(f"{out}.gradients", weights_only=True)


def compare(one: Path, two: Path) -> dict[str, Any]:
    (result, gradients), (other, others) = read(one), read(two)
    found = [[x["loss"] for x in r["history"] if "loss" in x] for r in (result, other)]
    scores = [[x["eval_accuracy"] for x in r["history"] if "eval_accuracy" in x] for r in (result, other)]
    names = [{k.removeprefix("module.") for k in step} for step in (gradients[0], others[0])]
    assert names[0] == names[1], names[0] ^ names[1]
    pairs = [
        (g[k], {n.removeprefix("module."): x for n, x in o.items()}[k])
        for g, o in zip(gradients, others, strict=True)
        for k in g
    ]
    return {
        "losses": found,
        "scores": scores,
        "largest": max(float(a.abs().max()) for a, _ in pairs),
        "difference": max(float((a - b).abs().max()) for a, b in pairs),
    }


def main(folder: Path) -> None:
    write_texts(folder / "train.txt", 30)
    write_texts(folder / "validation.txt", 7, seed=1)
    for family in ("Longformer", "Nystromformer"):
        write_checkpoint(folder / family, family)
    report = {}
    for name, (family, values, options) in CASES.items():
        one, two = folder / f"{name}-one", folder / f"{name}-two"
        run(1, folder, one, family, {k: v for k, v in values.items() if k not in ("checkpointing", "fsdp")}, options)
        run(2, folder, two, family, values, options)
        report[name] = compare(one, two)
    # sharded, stopped and resumed: as sharded without a stop, and as one process that goes on alone
    adamw = {"optim": "adamw", "steps": 6, "lr": 1e-3}
    sharded = {**adamw, "fsdp": True}
    run(2, folder, folder / "straight", "Longformer", sharded, {})
    run(2, folder, folder / "stopped", "Longformer", sharded, {}, stop=STOP_AFTER)
    run(1, folder, folder / "alone", "Longformer", adamw, {})
    one = folder / "taken-over"
    shutil.copytree(folder / "stopped", one)
    run(2, folder, folder / "stopped", "Longformer", sharded, {})
    run(1, folder, one, "Longformer", adamw, {})
    for name in ("straight", "stopped", "alone", "taken-over"):
        result = json.loads((folder / name / "training" / "result.json").read_text())
        losses = [x["loss"] for x in result["history"] if "loss" in x]
        report[name] = {"resumed": result["resumed"], "losses": losses, "out": str(folder / name)}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    # tqdm has a lock that forked processes share: one that is killed while it holds it would stop all others
    logging.disable_progress_bar()
    main(Path(sys.argv[1]))
