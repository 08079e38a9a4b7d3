"""How models are trained and judged on the five tasks, as published: plain values, and the published scores.

``nystromformer`` is the protocol of the Nyströmformer paper (Xiong and others, arXiv 2102.03902): one small model and
one learning rate for all tasks. ``original`` is that of Long Range Arena (Tay and others, arXiv 2011.04006).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, get_type_hints

MODELS = ("longformer", "nystromformer", "softmax")
TASKS = ("listops", "text", "retrieval", "image", "pathfinder32", "pathfinder64")
POOLINGS = ("mean", "first")
DECAYS = ("linear", "cosine", "rsqrt")
_POSITIVE = ("max_length", "padded_length", "batch", "steps", "evaluate_every", "heads", "width", "hidden", "landmarks")


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run besides task, model, data and seed.

    Attributes:
        max_length: tokens of a document, the rest is cut off.
        padded_length: rows of the position table, and what a mean over a document is divided by.
        batch, steps: rows of an optimizer step, and how many steps.
        warmup: steps in which the learning rate rises from 0, at least 1 under "rsqrt"; without an end where they are
            more than ``steps``.
        lr: the highest learning rate; under "rsqrt" it is divided by the root of ``warmup``.
        decay: "linear" or "cosine" to 0, or "rsqrt".
        evaluate_every: steps between two evaluations; the best one's weights are tested.
        layers, heads, width, hidden: of the encoder; its blocks are pre-norm.
        pooling: "mean" over ``padded_length``, or "first", the state of a token that is put before the document.
        dropout, attention_dropout: the latter not in Nyström attention, which has no probabilities to drop.
        weight_decay, beta2, epsilon: of AdamW.
        evaluate_rows: validation rows of an evaluation, evenly spaced; 0 for all.
        window: of Longformer, ``window // 2`` tokens on each side.
        global_tokens: of Longformer, the first ones of each document that are not masked.
        landmarks, convolution: of Nyströmformer; ``convolution`` 0 for none.
        bf16: compute in bfloat16, weights in float32.
    """

    max_length: int
    padded_length: int
    batch: int
    steps: int
    warmup: int
    lr: float
    decay: str
    evaluate_every: int
    layers: int = 2
    heads: int = 2
    width: int = 64
    hidden: int = 128
    pooling: str = "mean"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    weight_decay: float = 0.0
    beta2: float = 0.999
    epsilon: float = 1e-6
    evaluate_rows: int = 0
    window: int = 512
    global_tokens: int = 1
    landmarks: int = 64
    convolution: int = 35
    bf16: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            TypeError: a value is of another type.
            ValueError: a value is out of its range.
        """
        for name, kind in SETTING_KINDS.items():
            value = getattr(self, name)
            if kind is float and type(value) is int:
                object.__setattr__(self, name, float(value))
            elif type(value) is not kind:
                raise TypeError(f"{name} must be of type {kind.__name__}, got {value!r}")
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("warmup", "layers", "weight_decay", "evaluate_rows", "window", "global_tokens"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)}")
        for name in ("dropout", "attention_dropout", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        for name, known in (("pooling", POOLINGS), ("decay", DECAYS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("lr", "epsilon"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} must be a number above 0, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        if self.convolution < 0 or (self.convolution and self.convolution % 2 == 0):
            raise ValueError(f"convolution must be odd, or 0 for none, got {self.convolution}")
        if self.padded_length < self.max_length:
            raise ValueError(
                f"padded_length must be at least max_length, got {self.padded_length} and {self.max_length}"
            )
        if self.decay == "rsqrt" and self.warmup < 1:
            raise ValueError("warmup must be at least 1 where decay is rsqrt, got 0")
        if self.decay != "rsqrt" and self.warmup >= self.steps:
            raise ValueError(f"warmup must be below steps, got {self.warmup} and {self.steps}: set warmup as well")

    @property
    def highest_lr(self) -> float:
        """The learning rate at the end of the warm-up."""
        return self.lr / sqrt(self.warmup) if self.decay == "rsqrt" else self.lr


SETTING_KINDS: dict[str, type] = get_type_hints(Settings)
"""Name -> type."""

_OWN = {
    "longformer": ("window", "global_tokens", "attention_dropout"),
    "nystromformer": ("landmarks", "convolution"),
}
"""Settings that only one of the models has."""


def _small(max_length: int, padded: int, batch: int, steps: int, warmup: int, every: int) -> Settings:
    return Settings(max_length, padded, batch, steps, warmup, 1e-4, "linear", every)


def _first(**changes: Any) -> Settings:
    """The original protocol of texts: a token in front, and the decay of the first transformers."""
    fixed = {"decay": "rsqrt", "lr": 0.05, "weight_decay": 0.1, "beta2": 0.98, "epsilon": 1e-9, "pooling": "first"}
    return Settings(**{**fixed, **changes})


_PICTURE: dict[str, Any] = {"decay": "cosine", "beta2": 0.98, "epsilon": 1e-9, "attention_dropout": 0.2}
_PATHFINDER = _PICTURE | {"layers": 4, "heads": 4, "width": 32, "hidden": 32, "dropout": 0.2}
_PATHFINDER |= {"batch": 512, "steps": 62_400, "warmup": 312, "lr": 1e-3, "evaluate_every": 312}

PROTOCOLS: dict[str, dict[str, Settings]] = {
    "nystromformer": {
        "listops": _small(2000, 2048, 32, 5000, 1000, 50),
        "text": _small(1000, 1024, 32, 20_000, 8000, 500),
        "retrieval": _small(4000, 4096, 32, 30_000, 800, 300),
        "image": _small(1024, 1024, 256, 35_000, 175, 175),
        "pathfinder32": _small(1024, 1024, 256, 62_400, 312, 312),
        "pathfinder64": _small(4096, 4096, 256, 62_400, 312, 312),
    },
    "original": {
        "listops": _first(
            max_length=2000,
            padded_length=2000,
            batch=32,
            steps=5000,
            warmup=1000,
            evaluate_every=250,
            layers=4,
            heads=8,
            width=512,
            hidden=1024,
        ),
        "text": _first(
            max_length=1000,
            padded_length=1000,
            batch=32,
            steps=20_000,
            warmup=8000,
            evaluate_every=1000,
            layers=4,
            heads=4,
            width=256,
            hidden=1024,
        ),
        "retrieval": _first(
            max_length=4000,
            padded_length=4000,
            batch=32,
            steps=5000,
            warmup=8000,
            evaluate_every=250,
            layers=4,
            heads=4,
            width=128,
            hidden=512,
        ),
        "image": Settings(
            max_length=1024,
            padded_length=1024,
            batch=256,
            steps=35_000,
            warmup=175,
            lr=5e-4,
            evaluate_every=175,
            layers=1,
            heads=8,
            width=128,
            hidden=128,
            pooling="first",
            dropout=0.3,
            **_PICTURE,
        ),
        "pathfinder32": Settings(max_length=1024, padded_length=1024, **_PATHFINDER),
        "pathfinder64": Settings(max_length=4096, padded_length=4096, **_PATHFINDER),
    },
}
"""Protocol -> task -> settings."""

PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "nystromformer": {
        "softmax": {"listops": 37.10, "text": 65.02, "retrieval": 79.35, "image": 38.20, "pathfinder32": 74.16},
        "nystromformer": {"listops": 37.15, "text": 65.52, "retrieval": 79.56, "image": 41.58, "pathfinder32": 70.94},
    },
    "original": {
        "softmax": {"listops": 36.37, "text": 64.27, "retrieval": 57.46, "image": 42.44, "pathfinder32": 71.40},
        "longformer": {"listops": 35.63, "text": 62.85, "retrieval": 56.89, "image": 42.22, "pathfinder32": 69.71},
    },
}
"""Protocol -> model -> task -> test accuracy in percent."""


ROWS: dict[str, dict[str, int]] = {
    "listops": {"train": 96_000, "validation": 2000, "test": 2000},
    "text": {"train": 25_000, "validation": 25_000, "test": 25_000},
    "retrieval": {"train": 147_086, "validation": 18_090, "test": 17_437},
    "image": {"train": 45_000, "validation": 5000, "test": 10_000},
    "pathfinder32": {"train": 160_000, "validation": 20_000, "test": 20_000},
    "pathfinder64": {"train": 160_000, "validation": 20_000, "test": 20_000},
}
"""Task -> part -> how many rows were published."""


def make_settings(task: str, protocol: str, changes: Mapping[str, Any]) -> Settings:
    """The settings of a protocol with some values changed.

    Raises:
        TypeError: a value is of another type.
        ValueError: there is no such task, protocol or setting, or a value is out of its range.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    unknown = sorted(set(changes) - set(SETTING_KINDS))
    if unknown:
        raise ValueError(f"there is no setting {', '.join(unknown)}; there are {', '.join(SETTING_KINDS)}")
    return dataclasses.replace(PROTOCOLS[protocol][task], **changes)


def list_changes(task: str, protocol: str, model: str, settings: Settings) -> list[str]:
    """What differs from the protocol and counts for the model, one short phrase each; evaluation and precision too."""
    published = PROTOCOLS[protocol][task]
    others = {name for owner, names in _OWN.items() if owner != model for name in names}
    return [
        f"{name} {getattr(settings, name)} instead of {getattr(published, name)}"
        for name in SETTING_KINDS
        if name not in others and getattr(settings, name) != getattr(published, name)
    ]
