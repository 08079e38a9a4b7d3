"""What should be said of an example: whether it is known, and the example without it."""

from __future__ import annotations

from dataclasses import replace

from longspan.tasks.examples import (
    ChoiceExample,
    Example,
    QuestionExample,
    TaggedExample,
    TextExample,
)


def has_gold(task: str, example: Example) -> bool:
    """Whether it is known what should be said of an example of the task of that name."""
    if task == "mlm":  # the text is its own label
        return True
    if isinstance(example, TextExample):
        return example.label is not None
    if isinstance(example, TaggedExample):
        return example.tags is not None
    if isinstance(example, QuestionExample):
        return bool(example.answers) or example.answerable is False
    return not isinstance(example, ChoiceExample) or example.label is not None


def without_gold(example: Example) -> Example:
    """The example as it is where nothing is known of it."""
    if isinstance(example, TextExample | ChoiceExample):
        return replace(example, label=None)
    if isinstance(example, TaggedExample):
        return replace(example, tags=None)
    if isinstance(example, QuestionExample):
        return replace(example, answers=(), answerable=None)
    return example
