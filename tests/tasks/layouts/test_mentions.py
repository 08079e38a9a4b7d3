"""Mentions of names in a text."""

import re

from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks.layouts.mentions import find_mentions


def found(text, *names):
    return [text[start:end] for start, end in find_mentions(text, names)]


def test_whole_words_whatever_their_case():
    assert found("Paris, PARIS; parish comparis paris", "Paris") == ["Paris", "PARIS", "paris"]
    assert found("C++ or c++11, C", "c++") == ["C++", "c++"]
    assert found("U.S. and us", "U.S.") == ["U.S."]


def test_the_longest_counts():
    assert found("West Sunset Boulevard", "sunset", "Sunset Boulevard", "west sunset") == [
        "West Sunset",
        "Sunset Boulevard",
    ]
    assert found("sunset sunset boulevard", "sunset", "sunset boulevard") == ["sunset", "sunset boulevard"]


def test_letters_whose_lower_case_is_longer_move_nothing():
    # "İ".lower() is two code points
    assert found("İİ İstanbul and Ankara", "ankara") == ["Ankara"]
    assert found("İİ Straße", "straße") == ["Straße"]


def test_nothing_is_found_of_nothing():
    assert found("a b", "", "  ") == found("", "a") == found("a") == []


@given(st.text("aAbB .-é", max_size=40), st.text("ab .", min_size=1, max_size=4))
def test_one_name_is_what_a_regular_expression_finds(text, name):
    name = name.strip()
    before, after = (r"(?<![aAbBé])" if name[:1].isalnum() else ""), (r"(?![aAbBé])" if name[-1:].isalnum() else "")
    pattern = f"(?=({before}{re.escape(name)}{after}))"
    places = [match.span(1) for match in re.finditer(pattern, text, re.IGNORECASE)] if name else []
    assert find_mentions(text, [name]) == places
