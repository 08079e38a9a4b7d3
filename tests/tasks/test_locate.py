"""Finding quoted strings in a text whose line breaks and offsets were lost."""

import pytest

from longspan.tasks.locate import Searcher

TEXT = (
    "MA Report\n\nCOVER: Alpha Inc. and Beta Ltd.\n\n"
    + "x " * 3000
    + "\n\nThis AGREEMENT is made on May 8,\n 2014 between "
    'Alpha\nInc. (“MA”) and Beta Ltd. ("Company"). MAny companies. The term ends on May 8, 2014.'
)


def found(*quotations):
    return [TEXT[a:b] for a, b in Searcher(TEXT).locate(quotations)]


def test_offsets_slice_back_whatever_the_white_space():
    assert found("May  8, 2014") == ["May 8,\n 2014"]
    assert found("This AGREEMENT\nis made") == ["This AGREEMENT is made"]


def test_letters_alone_are_tried_when_the_marks_differ():
    assert found("this agreement, is 'made' on") == ["This AGREEMENT is made on"]


def test_what_is_nowhere_is_left_out():
    assert found("Gamma GmbH") == []
    assert found("", "  ") == []


def test_a_defined_term_is_found_in_its_quotation_marks_not_inside_words():
    ((start, end),) = Searcher(TEXT).locate(["MA"])
    assert TEXT[start - 1 : end + 1] == "“MA”"


def test_names_are_taken_near_the_defined_terms_not_on_the_cover():
    spans = Searcher(TEXT).locate(["Alpha Inc.", "MA", "Beta Ltd.", "Company"])
    assert [TEXT[a:b] for a, b in spans] == ["Alpha\nInc.", "MA", "Beta Ltd.", "Company"]
    assert spans[0][0] > 6000


def test_a_string_listed_twice_takes_two_places():
    spans = Searcher(TEXT).locate(["May 8, 2014", "May 8, 2014"])
    assert len(set(spans)) == 2


def test_a_part_of_a_longer_string_takes_another_place_where_there_is_one():
    text = "Acme Corp of Acme Corporation. Later: Acme Corp."
    spans = Searcher(text).locate(["Acme Corp of Acme Corporation", "Acme Corp"])
    assert spans == [(0, 29), (38, 47)]


@pytest.mark.parametrize("text", ["", " \n", "İstanbul İ.Ş."])
def test_odd_texts(text):
    searcher = Searcher(text)
    assert searcher.locate(["nothing here"]) == []
    for start, end in searcher.occurrences("İ.Ş"):
        assert text[start:end] == "İ.Ş"
