"""Places of tokens in a document, and what a tokenizer puts around a question."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors

from longspan.models.longformer import LongformerTokenizer
from longspan.tasks.question_windows import read_document, read_question
from tests.models.tokenizer_texts import ODD_TEXTS, SMALL_BPE
from tests.tasks.small_tokenizers import KINDS, byte_level, word_piece

PIECES = [
    "party",
    "agreement ",
    " ",
    "  ",
    "\r\n",
    "\t",
    "é",
    "e\u0301",
    "😀",
    "中文",
    "\u200b",
    "\u00a0",
    "İ",
    "12",
    "</s>",
]
texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def typed():
    """A tokenizer with token types, as that of BERT."""
    tokenizer = deepcopy(word_piece())
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tokenizer


def untrimmed():
    return LongformerTokenizer.from_pretrained(SMALL_BPE, trim_offsets=False)


@pytest.mark.parametrize("kind", [*KINDS, "untrimmed"])
@given(text=texts)
def test_places_are_in_order_and_have_no_white_space_at_their_ends(kind, text):
    document = read_document(untrimmed() if kind == "untrimmed" else KINDS[kind](), text)
    assert len(document.ids) == len(document.starts) == len(document.ends)
    assert (document.starts[1:] >= document.starts[:-1]).all() and (document.ends[1:] >= document.ends[:-1]).all()
    for start, end in zip(document.starts.tolist(), document.ends.tolist(), strict=True):
        assert 0 <= start <= end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert start == end or document.find(start, end) is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in ODD_TEXTS if "surrogate" not in name])
def test_every_word_has_its_place(kind, name):
    text = ODD_TEXTS[name]
    document = read_document(KINDS[kind](), text)
    for start, c in enumerate(text):
        # what a tokenizer's normalisation takes away has no token
        if c.isascii() and c.isalnum():
            first, last = document.find(start, start + 1)
            assert document.starts[first] <= start < document.ends[last]


def test_special_tokens_in_a_text_are_text():
    tokenizer = byte_level()
    document, question = read_document(tokenizer, "a </s> b"), read_question(tokenizer, "what is </s>?")
    assert tokenizer.sep_token_id not in document.ids
    assert question.before.count(tokenizer.sep_token_id) == 2


def test_what_stands_around_a_document():
    tokenizer = byte_level()
    question = read_question(tokenizer, "Who pays?")
    ids = tokenizer("Who pays?", add_special_tokens=False)["input_ids"]
    assert question.before == [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id, tokenizer.sep_token_id]
    assert question.after == [tokenizer.sep_token_id] and question.asked == 1 + len(ids) and question.types is None
    context = "The licensee shall pay."
    window = question.surround(read_document(tokenizer, context).ids)
    assert window["input_ids"] == tokenizer("Who pays?", context)["input_ids"] and "token_type_ids" not in window


def test_token_types_are_the_tokenizers():
    tokenizer = typed()
    question = read_question(tokenizer, "Who pays?")
    context = "The licensee shall pay."
    window = question.surround(read_document(tokenizer, context).ids)
    expected = tokenizer("Who pays?", context)
    assert window == {name: expected[name] for name in ("input_ids", "token_type_ids")}
    assert set(window["token_type_ids"]) == {0, 1}


def test_what_cannot_be_asked():
    with pytest.raises(ValueError, match="has no token"):
        read_question(word_piece(), "\u200b")
    bare = LongformerTokenizer.from_pretrained(SMALL_BPE)
    bare.backend_tokenizer.post_processor = processors.ByteLevel()
    with pytest.raises(ValueError, match="must put a special token before a question"):
        read_question(bare, "Who?")
