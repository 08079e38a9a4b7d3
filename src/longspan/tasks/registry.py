"""The tasks by the names that the command line and saved checkpoints give them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from longspan.tasks.task import Task

TASKS = {
    "classify": "longspan.tasks.classify.Classify",
    "choose": "longspan.tasks.choose.Choose",
    "answer": "longspan.tasks.answer.Answer",
    "wikihop": "longspan.tasks.wikihop.WikiHop",
    "mlm": "longspan.tasks.mlm.MaskedLanguage",
    "tag": "longspan.tasks.tagging.Tag",
}
"""Name -> class; a task's module loads when the task is asked for."""


def make_task(name: str, options: Mapping[str, Any] | None = None) -> Task[Any]:
    """The task of that name with these options.

    Raises:
        ValueError: there is no such task, or it has no such option.
    """
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}; the tasks are {', '.join(TASKS)}")
    module, _, attribute = TASKS[name].rpartition(".")
    try:
        task: Task[Any] = getattr(import_module(module), attribute)(**dict(options or {}))
    except TypeError as error:
        raise ValueError(f"the task {name} cannot be made with the options {dict(options or {})}: {error}") from None
    return task
