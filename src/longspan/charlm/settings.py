"""What decides how a character model is built and trained: sizes, windows and the stages of training."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args, get_type_hints

OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True)
class Stage:
    """One stage of training: longer text and wider windows than in the one before, at a lower rate.

    Attributes:
        steps: optimizer steps.
        length: characters that are predicted in a row.
        batch: rows of a step.
        lr: learning rate, the same throughout the stage after its warm-up.
        window: attention window, an int or a list with one per layer; a token sees window // 2 before itself.
    """

    steps: int
    length: int
    batch: int
    lr: float
    window: int | list[int]


@dataclass(frozen=True)
class Settings:
    """A model and its training.

    Attributes:
        stages: of training, in order; the windows of the last are the model's.
        layers, heads, width, hidden: sizes.
        dilation: as in the configuration.
        dropout: of embeddings and the outputs of both halves of a layer.
        optimizer: "adamw", or "muon" for the matrices of the layers, with AdamW at 0.4 of the rate for the rest.
        weight_decay: of matrices.
        clip: largest norm of the gradients.
        warmup: share of each stage with a rising rate, but no more than ``warmup_most`` steps.
        validate: characters of the validation part that are scored after each stage; 0 for all.
        bf16: whether the forward is computed in bfloat16.
    """

    stages: tuple[Stage, ...]
    layers: int = 12
    heads: int = 8
    width: int = 512
    hidden: int = 2048
    dilation: int | list[int] | list[list[int]] = 1
    dropout: float = 0.2
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    clip: float = 0.25
    warmup: float = 0.1
    warmup_most: int = 10_000
    validate: int = 0
    bf16: bool = False

    @cached_property
    def ends(self) -> list[int]:
        """The step after the last one of each stage."""
        return list(itertools.accumulate(stage.steps for stage in self.stages))

    def stage_at(self, step: int) -> tuple[int, int]:
        """The number of the stage that a step belongs to, and the number of the step in it."""
        stage = min(bisect.bisect_right(self.ends, step), len(self.stages) - 1)
        return stage, step - (self.ends[stage] - self.stages[stage].steps)

    def rate(self, step: int) -> float:
        """The learning rate of a step, as a share of the first stage's."""
        number, place = self.stage_at(step)
        stage = self.stages[number]
        rising = min(self.warmup * stage.steps, self.warmup_most)
        return stage.lr / self.stages[0].lr * min(1.0, (place + 1) / max(rising, 1))


KINDS: dict[str, tuple[Any, ...]] = {
    name: get_args(kind) or (kind,) for name, kind in get_type_hints(Settings).items() if name != "stages"
}
"""The types of each setting but the stages."""


def make_settings(given: Mapping[str, Any], stages: Sequence[Any], changes: Mapping[str, Any]) -> Settings:
    """Checked settings.

    Args:
        given: settings of a recipe, without the stages.
        stages: mappings, one for each.
        changes: settings that win over those given.

    Raises:
        TypeError: a value is of another type.
        ValueError: there is no such setting, or no such value.
    """
    values = {**given, **changes}
    unknown = sorted(set(values) - set(KINDS))
    if unknown:
        raise ValueError(f"there is no setting {', '.join(unknown)}; there are {', '.join(KINDS)}")
    if not isinstance(stages, Sequence) or isinstance(stages, str) or not stages:
        raise ValueError(f"stages must be a list of at least one, got {stages!r}")
    read = tuple(_read_stage(number, stage) for number, stage in enumerate(stages, 1))
    for name, value in values.items():
        values[name] = _checked(name, value, get_type_hints(Settings)[name])
    settings = Settings(stages=read, **values)
    for name in ("layers", "heads", "width", "hidden"):
        _at_least(name, getattr(settings, name), 1)
    for name in ("weight_decay", "validate", "warmup_most"):
        _at_least(name, getattr(settings, name), 0)
    for name in ("dropout", "warmup"):
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(settings, name)}")
    if settings.width % (2 * settings.heads):  # sinusoids of a distance come in pairs
        raise ValueError(f"width must be a multiple of twice the heads, got {settings.width} and {settings.heads}")
    if not settings.clip > 0:
        raise ValueError(f"clip must be above 0, got {settings.clip}")
    if settings.optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {settings.optimizer!r}")
    return settings


def _read_stage(number: int, given: Any) -> Stage:
    hints = get_type_hints(Stage)
    if not isinstance(given, Mapping) or set(given) != set(hints):
        raise ValueError(f"stage {number} must have {', '.join(hints)}, got {given!r}")
    values = {name: _checked(f"{name} of stage {number}", given[name], kind) for name, kind in hints.items()}
    stage = Stage(**values)
    for name in ("steps", "length", "batch"):
        _at_least(f"{name} of stage {number}", values[name], 1)
    if not 0 < stage.lr < math.inf:
        raise ValueError(f"lr of stage {number} must be a number above 0, got {stage.lr}")
    return stage


def _checked(name: str, value: Any, kind: Any) -> Any:
    if kind is float and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)  # YAML takes 1e-2, without a point, for a text
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (int, float, str, bool):
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        told = kind.__name__
    else:  # a number, or lists of numbers, which the model's configuration checks
        right = isinstance(value, int | list) and not isinstance(value, bool)
        told = "int or list"
    if not right:
        raise TypeError(f"{name} must be of type {told}, got {value!r}")
    return value


def _at_least(name: str, value: float, least: int) -> None:
    if not least <= value < math.inf:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def as_dict(settings: Settings) -> dict[str, Any]:
    """Ready for JSON."""
    return {**dataclasses.asdict(settings), "stages": [dataclasses.asdict(stage) for stage in settings.stages]}
