"""The options of tasks: which there are, and what is refused."""

import pytest

from longspan.tasks.options import option_kinds
from longspan.tasks.registry import TASKS, make_task, task_class


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_options_are_those_that_a_checkpoint_carries(name):
    kinds, options = option_kinds(task_class(name)), make_task(name).options()
    assert options.keys() <= kinds.keys()
    assert make_task(name, options).options() == options


def test_a_task_made_of_another_has_its_options():
    mlm = task_class("mlm")
    assert option_kinds(type("Other", (mlm,), {})) == option_kinds(mlm) != {}


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("mlm", {"rhyme": 1}, "the task mlm has no option 'rhyme'; there are whole_words, blocks, seed"),
        ("choose", {"rhyme": 1}, "the task choose has no option 'rhyme'; it has none"),
        ("mlm", {"blocks": "maybe"}, "the option blocks of the task mlm must be of type bool, got 'maybe'"),
        ("mlm", {"blocks": 1}, "must be of type bool, got 1"),
        ("mlm", {"seed": True}, "must be of type int, got True"),
        ("classify", {"labels": "a"}, "labels of the task classify must be of type list of str or null, got 'a'"),
        ("classify", {"labels": [0, 1]}, r"labels .* must be of type list of str or null, got \[0, 1\]"),
        ("tag", {"labels": ["O", True]}, r"labels .* must be of type list of str or null, got \['O', True\]"),
        ("classify", {"moments": ["a", 1.0]}, "moments .* must be of type list of float or null"),
        ("classify", {"text": None}, "must be of type str, got None"),
        ("answer", {"null_threshold": "low"}, "must be of type float, got 'low'"),
    ],
)
def test_options_that_cannot_be(task, options, message):
    with pytest.raises(ValueError, match=message):
        make_task(task, options)


def test_whole_numbers_serve_as_fractions_and_lists_as_sequences():
    assert make_task("answer", {"null_threshold": 1}).options()["null_threshold"] == 1
    assert make_task("classify", {"labels": ["a", "b"]}).options()["labels"] == ["a", "b"]
