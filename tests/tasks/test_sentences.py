"""Sentence splitting: offsets, abbreviations, headings, blank lines."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks.sentences import split_sentences


def pieces(text):
    return [text[a:b] for a, b in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One ends. Two ends.", ["One ends.", "Two ends."]),
        ("Acme Inc. and Beta Corp. agree. They sign.", ["Acme Inc. and Beta Corp. agree.", "They sign."]),
        ("14.2 Assignment. This may not be assigned.", ["14.2 Assignment.", "This may not be assigned."]),
        ("1. Term. It is long.", ["1. Term.", "It is long."]),
        ("A heading\n\nIts text\ngoes on.", ["A heading", "Its text\ngoes on."]),
        ('He said "stop." Then left.', ['He said "stop."', "Then left."]),
        ("costs 3.50 dollars; Then (b) more", ["costs 3.50 dollars;", "Then (b) more"]),
        ("  \n\n ", []),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert pieces(text) == expected


@given(st.text(alphabet=' \n\t.;:?!aA1(“"', max_size=60))
def test_every_visible_character_is_in_exactly_one_sentence(text):
    spans = split_sentences(text)
    assert all(a < b for a, b in spans)
    assert all(b <= c for (_, b), (c, _) in pairwise(spans))
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(text[a:b] == text[a:b].strip() for a, b in spans)
