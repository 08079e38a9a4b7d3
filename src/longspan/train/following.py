"""Tells a caller how far training is."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from longspan.train.sources import OnProgress


class Follow(TrainerCallback):
    """Calls ``tell`` after every step with the step, the number of all steps and the latest figures."""

    def __init__(self, tell: OnProgress) -> None:
        self.tell = tell
        self.figures: dict[str, float] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Keep the figures."""
        self.figures.update(logs or {})

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Pass on where it is; the main process only."""
        if state.is_world_process_zero:
            self.tell("train", state.global_step, state.max_steps, dict(self.figures))
