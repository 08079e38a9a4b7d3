"""The tasks by the names that the command line and saved checkpoints give them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from longspan.tasks.options import check_options, option_kinds
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


def task_class(name: str) -> type[Task[Any]]:
    """The class of the task of that name.

    Raises:
        ValueError: there is no such task.
    """
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}; the tasks are {', '.join(TASKS)}")
    module, _, attribute = TASKS[name].rpartition(".")
    found: type[Task[Any]] = getattr(import_module(module), attribute)
    return found


def make_task(name: str, options: Mapping[str, Any] | None = None) -> Task[Any]:
    """The task of that name with these options.

    Raises:
        ValueError: there is no such task, it has no such option, or a value does not fit.
    """
    task = task_class(name)
    check_options(name, option_kinds(task), options or {})
    return task(**dict(options or {}))
