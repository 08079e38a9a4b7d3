"""Two processes train one model; the gradients are those of one process with both batches.

Run by test_integration_distributed.py in a process of its own: ``python -m tests.models.distributed_worker FOLDER``.
Prints a line of JSON: for each case, the largest gradient and the largest difference between the two ways.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tests.models.hub_models import FAMILIES, make, make_inputs

WORLD, STEPS, RATE = 2, 2, 0.1
CHECKPOINTING = {"plain": None, "checkpointing": {"use_reentrant": False}, "reentrant": {"use_reentrant": True}}
CASES = [
    *((family, "ForTokenClassification", "ddp", way) for family in FAMILIES for way in CHECKPOINTING),
    *((family, "ForMaskedLM", "ddp", "checkpointing") for family in FAMILIES),
    ("Longformer", "ForSequenceClassification", "ddp", "checkpointing"),
    *((family, "ForTokenClassification", "fsdp", "checkpointing") for family in FAMILIES),
]


def batch(family: str, head: str, rank: int, step: int) -> dict[str, torch.Tensor]:
    """Two rows a rank and step; no row of the second rank has a global token."""
    inputs = make_inputs(family, seed=10 * step + rank)
    if family == "Longformer" and rank == 1:
        inputs["global_attention_mask"].zero_()
    ids = inputs["input_ids"]
    labels = {"ForMaskedLM": ids, "ForTokenClassification": ids % 3, "ForSequenceClassification": ids[:, 0] % 3}
    return {**inputs, "labels": labels[head]}


def build(family: str, head: str, way: str) -> torch.nn.Module:
    model = make(family, head).train()
    if CHECKPOINTING[way] is not None:
        model.activation_checkpointing_enable(CHECKPOINTING[way])
        if way == "reentrant":
            model.enable_input_require_grads()
    return model


def train(model: torch.nn.Module, batches: list[dict[str, torch.Tensor]]) -> list[dict[str, torch.Tensor]]:
    """The gradients of each step, by name."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    steps = []
    for inputs in batches:
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        found = {}
        for name, parameter in model.named_parameters():
            grad = parameter.grad
            assert grad is not None, name
            found[name.removeprefix("module.")] = (grad.full_tensor() if hasattr(grad, "full_tensor") else grad).clone()
        steps.append(found)
        optimizer.step()
    return steps


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    report = {}
    for case in CASES:
        family, head, kind, way = case
        model = build(family, head, way)
        if kind == "ddp":
            model = DistributedDataParallel(model)  # find_unused_parameters and static_graph are False
        else:
            for layer in model.base_model.encoder.layer:
                fully_shard(layer, mesh=dist.init_device_mesh("cpu", (WORLD,)))
            fully_shard(model, mesh=dist.init_device_mesh("cpu", (WORLD,)))
        found = train(model, [batch(family, head, rank, step) for step in range(STEPS)])
        both = [[batch(family, head, r, step) for r in range(WORLD)] for step in range(STEPS)]
        expected = train(
            build(family, head, "plain"), [{k: torch.cat([x[k] for x in parts]) for k in parts[0]} for parts in both]
        )
        assert [x.keys() for x in found] == [x.keys() for x in expected]
        pairs = [(a[k], b[k]) for a, b in zip(found, expected, strict=True) for k in b]
        report[" ".join(case)] = [
            max(float(b.abs().max()) for _, b in pairs),
            max(float((a - b).abs().max()) for a, b in pairs),
        ]
    dist.barrier()
    dist.destroy_process_group()
    (Path(folder) / f"report-{rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    # forked before anything has started a thread: a second import of torch would take longer than the work
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(rank, sys.argv[1])) for rank in range(WORLD)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit(1)
    print(json.dumps([json.loads((Path(sys.argv[1]) / f"report-{rank}.json").read_text()) for rank in range(WORLD)]))
