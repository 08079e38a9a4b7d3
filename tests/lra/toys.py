"""Toy data of every task in the published layouts; each is learnt in seconds."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from longspan.lra.generating import generate_listops, generate_pathfinder
from longspan.lra.listops import ListOpsRules
from longspan.lra.pathfinder_rules import PathfinderRules

SETTINGS: dict[str, Any] = {"layers": 1, "width": 32, "heads": 2, "hidden": 64, "dropout": 0.0}
SETTINGS |= {"attention_dropout": 0.0, "landmarks": 8, "convolution": 5, "window": 16, "lr": 5e-3, "warmup": 10}
SETTINGS |= {"batch": 32}
TRAIN, HELD_OUT = 600, 200


def write_toys(task: str, folder: Path) -> dict[str, Any]:
    """Write the task's data into a new folder; the settings that go with it."""
    lengths = {
        "listops": _listops,
        "text": _text,
        "retrieval": _retrieval,
        "image": _image,
        "pathfinder32": partial(_pathfinder, size=32),
        "pathfinder64": partial(_pathfinder, size=64),
    }[task](folder)
    settings = SETTINGS | ({"lr": 1e-2, "batch": 16} if task.startswith("pathfinder") else {})
    return {**settings, "max_length": lengths, "padded_length": lengths}


def _listops(folder: Path) -> int:
    """Flat lists of up to four digits."""
    rules = ListOpsRules(max_depth=2, max_args=4, min_length=2, max_length=7)
    generate_listops(folder, rules, rows=(4 * TRAIN, 60, HELD_OUT))
    return 8


def _word(rng: np.random.Generator, favoured: bool, length: int) -> str:
    """Letters, of which one is more frequent where it is favoured."""
    shares = np.where(np.arange(7) == 0, 4.0 if favoured else 1.0, 1.0)
    return "".join(rng.choice(list("abcdefg"), length, p=shares / shares.sum()))


def _text(folder: Path) -> int:
    """Good reviews favour a letter."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for part, number in (("train", TRAIN), ("test", HELD_OUT)):
        labels = rng.integers(2, size=number)
        rows = [{"text": _word(rng, bool(n), int(rng.integers(20, 70))), "label": ("neg", "pos")[n]} for n in labels]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return 64


def _retrieval(folder: Path) -> int:
    """Related papers both favour a letter; of others only one does."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for part, number in (("train", TRAIN), ("eval", 60), ("test", HELD_OUT)):
        lines = []
        for label in rng.integers(2, size=number):
            both = [True, bool(label)]
            rng.shuffle(both)
            one, two = (_word(rng, favoured, int(rng.integers(30, 60))) for favoured in both)
            lines.append(f"{label}.0\tP1\tP2\t{one}\t{two}\n")
        (folder / f"new_aan_pairs.{part}.tsv").write_text("".join(lines))
    return 64


def _image(folder: Path) -> int:
    """The class is the brightness."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name in ["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]:
        labels = rng.integers(10, size=HELD_OUT).astype(np.uint8)
        pixels = (labels[:, None] * 25 + rng.integers(1, 25, (HELD_OUT, 3072))).astype(np.uint8)
        (folder / f"{name}.bin").write_bytes(np.concatenate([labels[:, None], pixels], 1).tobytes())
    return 64  # two rows of pixels tell the brightness


def _pathfinder(folder: Path, size: int) -> int:
    """Paths of two short strokes with large discs, which overlap where they are on the same path."""
    rules = PathfinderRules(size, 2, 1, 1.0, 1, 1.0, 7, 4.0, 1, 0, 0.4, 0.4)
    generate_pathfinder(folder, rules, rows=(TRAIN, 60, HELD_OUT))
    return size * size
