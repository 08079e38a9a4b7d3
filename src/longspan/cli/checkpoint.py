"""How a command that reads data loads the checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longspan.cli.assignments import read_assignments

if TYPE_CHECKING:
    from longspan.predict.loading import Checkpoint


def load_checkpoint(
    name: str, options: list[str] | None, device: str | None, max_length: int | None, stride: int | None
) -> Checkpoint:
    """Load a checkpoint with ``options``, texts NAME=VALUE, over those of its task.

    Raises:
        typer.BadParameter: one is no assignment, or there is no such option.
        OSError, ValueError: as :func:`longspan.predict.load`.
    """
    from longspan.predict.loading import find_task, load
    from longspan.tasks.options import option_kinds
    from longspan.tasks.registry import task_class

    given = read_assignments(options, option_kinds(task_class(find_task(name))), "--option") if options else {}
    return load(name, None, device, max_length, stride, given)
