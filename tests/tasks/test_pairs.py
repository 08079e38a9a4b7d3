"""Texts and pairs in windows: nothing is lost, the special tokens stay, rows are padded."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks.pairs import cut, encode_pair, pad_columns
from longspan.tasks.task import Encoding
from tests.tasks.small_tokenizers import KINDS, SENTENCES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pair", [None, SENTENCES[1]])
def test_a_pair_is_encoded_as_the_tokenizer_does(kind, pair):
    tokenizer = KINDS[kind]()
    encoded = encode_pair(tokenizer, SENTENCES[0], pair)
    plain = tokenizer(SENTENCES[0], pair)
    assert encoded.columns == {name: list(values) for name, values in plain.items()}
    assert len(encoded) == len(plain["input_ids"])
    first, last = encoded.span(0)
    assert encoded.columns["input_ids"][first:last] == tokenizer(SENTENCES[0], add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 3), st.integers(0, 1), st.integers(0, 8), st.integers(0, 30))
def test_windows_of_one_text_hold_all_of_the_other(kind, n, sequence, stride, more):
    tokenizer = KINDS[kind]()
    texts = [SENTENCES[0], " ".join(SENTENCES[: n + 1])]
    texts = texts if sequence else texts[::-1]
    encoded = encode_pair(tokenizer, *texts)
    ids = encoded.columns["input_ids"]
    span = encoded.span(sequence)
    size = span[1] - span[0]
    rest = len(encoded) - size
    encoding = Encoding(tokenizer, rest + stride + 1 + more, stride)
    windows = cut(size, rest, encoding)
    seen = set()
    for start, end in windows:
        window = encoded.window(span, start, end)
        assert window["input_ids"] == ids[: span[0]] + ids[span[0] + start : span[0] + end] + ids[span[1] :]
        assert {len(values) for values in window.values()} == {len(window["input_ids"])}
        assert len(window["input_ids"]) <= encoding.max_length
        seen.update(range(start, end))
    assert seen == set(range(size))
    assert (len(windows) == 1) == (len(encoded) <= encoding.max_length)


def test_without_a_limit_there_is_one_window():
    assert cut(10**6, 3, Encoding(None, None)) == [(0, 10**6)]


def test_too_little_room_is_told():
    with pytest.raises(ValueError, match=r"windows of 20 tokens have no room for 15 tokens .* more than the 5 that"):
        cut(30, 15, Encoding(None, 20, stride=5))
    assert cut(30, 14, Encoding(None, 20, stride=5))


def test_a_text_without_tokens_has_an_empty_place():
    encoded = encode_pair(KINDS["WordPiece"](), "\u200b", SENTENCES[0])
    assert encoded.span(0) == (0, 0)
    assert encoded.window((0, 0), 0, 0) == encoded.columns


def test_padding():
    tokenizer = copy.deepcopy(KINDS["WordPiece"]())
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    rows = [encode_pair(tokenizer, text, "a").columns for text in SENTENCES[:2]]
    batch = pad_columns(rows, tokenizer)
    plain = tokenizer(SENTENCES[:2], ["a", "a"], padding=True, return_tensors="pt")
    assert set(batch) == set(plain) == set(tokenizer.model_input_names)
    for name, values in plain.items():
        assert batch[name].equal(values), name
