"""A text that a small model learns in seconds, and a recipe for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from longspan.charlm.recipe import Recipe

_TEXT = "the of and whale ship sea captain a white leg boat harpoon sailed long deep under night storm sang slowly wind"
WORDS = f"{_TEXT} mast crew island water old morning".split()

SETTINGS: dict[str, Any] = {
    "layers": 2,
    "heads": 2,
    "width": 32,
    "hidden": 64,
    "dilation": [1, [1, 2]],
    "dropout": 0.0,
    "optimizer": "muon",
    "clip": 1.0,
}

STAGES = [
    {"steps": 90, "length": 64, "batch": 16, "lr": 2e-2, "window": [16, 32]},
    {"steps": 30, "length": 128, "batch": 8, "lr": 1e-2, "window": [32, 64]},
]


def write_text(path: Path, characters: int = 60_000, seed: int = 0) -> Path:
    """Random words, the first ones often; the end of a sentence repeats its first word, ten words before."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, len(WORDS) + 1)
    sentences, size = [], 0
    while size < characters:
        words = [WORDS[i] for i in rng.choice(len(WORDS), 10, p=chances / chances.sum())]
        sentences.append(" ".join([*words, words[0]]) + ".\n")
        size += len(sentences[-1])
    path.write_text("".join(sentences)[:characters])
    return path


def make_recipe(stages: list[dict[str, Any]] | None = None, **settings: Any) -> Recipe:
    """The recipe of a toy."""
    return Recipe(
        name="toy",
        about="A toy.",
        command="none",
        cost="seconds",
        source="nobody",
        expected={},
        stages=STAGES if stages is None else stages,
        settings={**SETTINGS, **settings},
    )
