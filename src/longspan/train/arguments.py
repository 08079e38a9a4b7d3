"""How a model is trained: one dataclass of plain values, which recipes fill and a run remembers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from longspan.tasks.options import kinds_of

EPOCHS = 3.0
"""Passes over the training rows where nobody says how many."""

SCHEDULES = ("linear", "cosine", "constant_with_warmup")


@dataclass(frozen=True)
class Arguments:
    """Arguments of training; recipes use the same names.

    Attributes:
        steps: optimizer steps; None to count in epochs.
        epochs: passes over the training rows; None for 3, where ``steps`` is None too.
        batch: rows that one process reads at once.
        accumulate: batches whose gradients are summed for one step.
        lr, weight_decay: of AdamW (betas 0.9 and 0.999, epsilon 1e-8); biases and norms are not decayed.
        schedule: of the learning rate after the warm-up: "linear" and "cosine" fall to 0 at the last step,
            "constant_with_warmup" stays.
        warmup: steps in which the learning rate rises from 0: below 1 their share of all steps, else their number.
        clip: largest norm of all gradients together; 0 for any.
        max_length: tokens of a window; None for as many as the model reads, or any number where it has no limit.
        stride: tokens that neighbouring windows share; None for 128, or a quarter of a shorter window.
        holdout: share of the training examples that are kept for validation, drawn by the seed, the same of each class;
            where there is no validation file.
        save_every: steps between checkpoints, each after an evaluation; None for a tenth of all steps.
        keep: checkpoints to keep besides the best one.
        dropout: probability of dropout in the layers and in attention; None for the checkpoint's, or 0.1.
        bf16: compute in bfloat16, weights in float32.
        checkpointing: compute the layers' activations again in the backward pass instead of keeping them.
        lora: rank of low-rank adapters, trained instead of the encoder's weights; None to train every weight.
        fsdp: shard weights, gradients and optimizer over the processes (FSDP2).
        cpu: stay on the CPU where there is an accelerator.
        seed: of new weights, dropout, the order of rows and the task's own draws.
    """

    steps: int | None = None
    epochs: float | None = None
    batch: int = 8
    accumulate: int = 1
    lr: float = 5e-5
    weight_decay: float = 0.01
    schedule: str = "linear"
    warmup: float = 0.06
    clip: float = 1.0
    max_length: int | None = None
    stride: int | None = None
    holdout: float = 0.0
    save_every: int | None = None
    keep: int = 2
    dropout: float | None = None
    bf16: bool = False
    checkpointing: bool = False
    lora: int | None = None
    fsdp: bool = False
    cpu: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            TypeError: a value is of another type.
            ValueError: a value is out of its range.
        """
        for name, kinds in ARGUMENT_KINDS.items():
            value = _convert(name, getattr(self, name), kinds)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value}")
            object.__setattr__(self, name, value)
        for name in ("steps", "batch", "accumulate", "max_length", "save_every", "keep", "lora"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("lr", "weight_decay", "warmup", "clip", "stride", "seed"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        if self.epochs is not None and not self.epochs > 0:
            raise ValueError(f"epochs must be above 0, got {self.epochs}")
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"give either steps or epochs, got {self.steps} and {self.epochs}")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout must be at least 0 and below 1, got {self.holdout}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.fsdp and self.lora is not None:
            raise ValueError("fsdp and lora cannot be combined: adapters are small enough for every process")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Arguments:
        """Arguments from names and values.

        Raises:
            TypeError, ValueError: a name is unknown, or a value does not fit.
        """
        unknown = sorted(set(values) - set(ARGUMENT_NAMES))
        if unknown:
            raise ValueError(f"there is no argument {', '.join(unknown)}; there are {', '.join(ARGUMENT_NAMES)}")
        return cls(**values)

    def settings(self) -> dict[str, Any]:
        """Fields of the model's configuration that these arguments decide."""
        if self.dropout is None:
            return {}
        return {"hidden_dropout_prob": self.dropout, "attention_probs_dropout_prob": self.dropout}

    def total_steps(self, rows: int, processes: int) -> int:
        """Optimizer steps of the whole run over ``rows`` training rows."""
        if self.steps is not None:
            return self.steps
        epochs = EPOCHS if self.epochs is None else self.epochs
        return math.ceil(epochs * math.ceil(rows / (self.batch * self.accumulate * processes)))

    def steps_between_checkpoints(self, total: int) -> int:
        """Steps from one checkpoint to the next."""
        return self.save_every or max(1, math.ceil(total / 10))


ARGUMENT_KINDS = {name: kinds_of(hint) for name, hint in get_type_hints(Arguments).items()}
"""Name -> the types of which its value may be."""

ARGUMENT_NAMES = tuple(ARGUMENT_KINDS)


def _convert(name: str, value: Any, kinds: tuple[Any, ...]) -> Any:
    """``value``, a whole number as float where one is wanted: ``lr: 1`` in a file is no mistake."""
    if value is None and type(None) in kinds:
        return None
    kind = next(k for k in kinds if k is not type(None))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # True is an int to Python, and never one to a person
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        hint = ""
        if kind is float and isinstance(value, str):
            hint = "; YAML reads 5e-5 as text: write 5.0e-5"
        raise TypeError(f"{name} must be of type {kind.__name__}, got {value!r}{hint}")
    return value
