"""TriviaQA's metric by hand."""

import pytest

from longspan.tasks.trivia_metric import normalize, score_aliases


def test_normalize():
    assert normalize("The_Well-known  ‘Sunset’ Blvd.") == "well known sunset blvd"
    assert normalize("O'Neill`s A-team") == "o neill s team"


def test_scores():
    golds = {"1": ["sunset blvd", "sunset boulevard"], "2": ["paris"], "3": ["rome"], "4": ["the beatles"]}
    scores = score_aliases(golds, {"1": "Sunset Blvd.", "2": "in Paris", "4": "Beatles!"})
    assert scores == {"exact": 50.0, "f1": pytest.approx(100 * (1 + 2 / 3 + 1) / 4)}


def test_nothing_to_score():
    with pytest.raises(ValueError, match="no question"):
        score_aliases({}, {})
    with pytest.raises(ValueError, match="'1' has no alias"):
        score_aliases({"1": []}, {})
