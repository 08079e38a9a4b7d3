"""What training starts from: the options and the head of a checkpoint."""

import json

import pytest

from longspan.tasks.classify import Classify
from longspan.tasks.mlm import MaskedLanguage
from longspan.train.building import Start, known_options


@pytest.fixture
def start(tmp_path):
    options = {"text": "review", "truncate": True, "labels": ["neg", "pos"], "problem": "single"}
    (tmp_path / "longspan.json").write_text(json.dumps({"task": "classify", "options": options}))
    return Start(model=str(tmp_path))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"text": "review", "truncate": True}),
        ({"text": "text"}, {"text": "text", "truncate": True}),  # its default, and given nevertheless
        ({"truncate": False, "label": "stars"}, {"text": "review", "truncate": False, "label": "stars"}),
    ],
)
def test_what_is_given_wins_over_the_checkpoint_and_a_default_does_not(start, given, expected):
    options = known_options(start, Classify(**given))
    assert options == options | expected | {"labels": ["neg", "pos"], "problem": "single"}


def test_a_checkpoint_of_another_task_has_no_options_for_this_one(start):
    assert known_options(start, MaskedLanguage()) is None
    assert known_options(Start(scratch="tiny"), Classify()) is None
