"""Tokens of a text and its windows: nothing left out, every token counted once, gaps in the middle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.predict.tokens import around, collate_ids, tokenize
from longspan.tasks.task import Encoding
from tests.predict.fakes import WORDS, FakeTokenizer, save_checkpoint


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_every_gap_has_a_quarter_of_its_window_on_each_side(n, width, data):
    places = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=20)))
    found = around(places, n, width)
    assert [p for _, inside in found for p in inside] == places
    for start, inside in found:
        end = min(start + width, n)
        assert start >= 0 and end - start == min(width, n)
        for place in inside:
            assert place - start >= min(width // 4, place)
            assert end - 1 - place >= min(width // 4, n - 1 - place)


def test_near_gaps_share_a_window():
    assert around([50, 52, 60], 100, 20) == [(40, [50, 52]), (50, [60])]
    assert around([1, 2, 99], 100, 20) == [(0, [1, 2]), (80, [99])]
    assert around([3, 5], 6, 20) == [(0, [3, 5])]


@pytest.fixture(scope="module", params=["longformer", "nystromformer"])
def tokenizer(request, tmp_path_factory):
    from longspan.predict.loading import load_tokenizer

    return load_tokenizer(str(save_checkpoint(tmp_path_factory.mktemp("model"), request.param)), request.param)


@pytest.mark.parametrize("text", [WORDS, "", "a", "<mask> first and last <mask>", "<s> a </s>", "\r\n é 😀"])
def test_a_text_and_its_special_tokens(tokenizer, text):
    tokens = tokenize(text, Encoding(tokenizer, None))
    assert tokens.frame == ([0], [2], None)
    assert tokens.window(0, len(tokens.ids)) == tokenizer(text)["input_ids"]


def test_what_cannot_be_read_is_refused(tokenizer):
    with pytest.raises(TypeError, match="text must be a str, got bytes"):
        tokenize(b"a", Encoding(tokenizer, None))
    with pytest.raises(ValueError, match="max_length must be at least 3"):
        tokenize("a", Encoding(tokenizer, 2))
    assert tokenize("a", Encoding(tokenizer, 3)).frame.room == 1


def test_rows_are_padded_on_the_right():
    batch = collate_ids([[1, 2], [3]], Encoding(FakeTokenizer(), None))
    assert batch["input_ids"].tolist() == [[1, 2], [3, 0]] and batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
