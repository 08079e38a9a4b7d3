"""Longformer's tokenizer gives what transformers' RoBERTa tokenizer gives, and offsets that point into the text."""

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AddedToken, RobertaTokenizerFast

from longspan.models.longformer.tokenization import LongformerTokenizer, LongformerTokenizerFast
from tests.models.tokenizer_texts import FULL_BPE, ODD_TEXTS, SMALL_BPE, contracts, needs_data, replaced, reviews

WORDS = "The quick brown fox jumps over the lazy dog, again and again, until it's done."
QUESTION = "Who jumps over the dog?"
EVERYTHING = {
    "return_offsets_mapping": True,
    "return_special_tokens_mask": True,
    "return_token_type_ids": True,
    "return_length": True,
}


def tokenizers(folder, **kwargs):
    """Ours and transformers', which in version 5 has lost the space that RoBERTa's <mask> takes."""
    ours = LongformerTokenizer.from_pretrained(folder, **kwargs)
    theirs = RobertaTokenizerFast.from_pretrained(folder, mask_token=AddedToken("<mask>", lstrip=True), **kwargs)
    return ours, theirs


SMALL = tokenizers(SMALL_BPE)


@pytest.fixture(scope="module", params=["small", pytest.param("full", marks=needs_data)])
def both(request):
    return SMALL if request.param == "small" else tokenizers(FULL_BPE)


def assert_equal(ours, theirs, texts, pairs=None, clean=lambda text: text, **kwargs):
    mine = ours(texts, pairs, **kwargs, **EVERYTHING)
    clean_pairs = None if pairs is None else [clean(text) for text in pairs]
    reference = theirs([clean(text) for text in texts], clean_pairs, **kwargs, **EVERYTHING)
    assert dict(mine) == dict(reference)
    for row in range(len(mine["input_ids"])):
        assert mine.tokens(row) == reference.tokens(row)
        assert mine.word_ids(row) == reference.word_ids(row)
        assert mine.sequence_ids(row) == reference.sequence_ids(row)
    return mine


def test_both_names_are_one_class():
    assert LongformerTokenizerFast is LongformerTokenizer


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_odd_texts_equal_roberta(both, name):
    text = ODD_TEXTS[name]
    assert_equal(*both, [text, WORDS], clean=replaced)
    assert_equal(*both, [text, WORDS], [WORDS, text], clean=replaced)
    assert both[0].tokenize(text) == both[1].tokenize(replaced(text))


@needs_data
@pytest.mark.parametrize("corpus", [contracts, reviews])
def test_real_text_equals_roberta(both, corpus):
    assert_equal(*both, corpus())
    assert_equal(*both, corpus()[1:], corpus()[:-1], truncation=True, max_length=700)
    windows = assert_equal(*both, corpus(), truncation=True, max_length=512, stride=128, return_overflowing_tokens=True)
    assert len(windows["input_ids"]) > len(corpus())


@given(st.text(st.characters(exclude_categories=[]), max_size=80), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_text_equals_roberta_with_surrogates_replaced(text, pair):
    assert_equal(*SMALL, [text], [text[::-1]] if pair else None, clean=replaced)


def test_lone_surrogates_keep_offsets():
    text = "ab\ud800cd"
    encoding = SMALL[0](text, return_offsets_mapping=True)
    end = encoding.char_to_token(2)
    assert encoding["offset_mapping"][end] == (2, 3)
    assert SMALL[0].decode(encoding["input_ids"], skip_special_tokens=True) == "ab\ufffdcd"
    words = SMALL[0]([["ab", "\ud800"], ["cd"]], is_split_into_words=True)["input_ids"]
    assert words == SMALL[1]([["ab", "\ufffd"], ["cd"]], is_split_into_words=True)["input_ids"]
    with pytest.raises(TypeError):  # what transformers makes of it
        SMALL[1](text)


@needs_data
def test_offsets_slice_back_to_real_text(both):
    for text in [*contracts()[:4], *reviews()[:40], *(ODD_TEXTS[key] for key in ("CJK", "emoji", "control"))]:
        encoding = both[0](text, return_offsets_mapping=True, add_special_tokens=False)
        covered = set()
        for token, (start, end) in zip(encoding.tokens(), encoding["offset_mapping"], strict=True):
            covered.update(range(start, end))
            said = both[0].convert_tokens_to_string([token])
            if "\ufffd" not in said:  # a part of a character has the offsets of the whole
                assert text[start:end].strip() == said.strip()
        left_out = {c for i, c in enumerate(text) if i not in covered}
        assert all(c.isspace() or c in "\x1c\x1d\x1e\x1f" for c in left_out), left_out


@needs_data
def test_decoding_gives_the_text_back(both):
    for text in [
        *contracts(),
        *reviews(),
        *(t for k, t in ODD_TEXTS.items() if "surrogate" not in k and "special" not in k),
    ]:
        assert both[0].decode(both[0](text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("clean_up", [True, False, None])
def test_decoding_equals_roberta(both, skip, clean_up):
    ids = both[0](list(ODD_TEXTS.values()))["input_ids"]
    options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean_up}
    assert both[0].batch_decode(ids, **options) == both[1].batch_decode(ids, **options)
    assert both[0].decode(ids[-1], **options) == both[1].decode(ids[-1], **options)
    assert ("<s>" in both[0].decode(ids[0], **options)) != skip


@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second", True])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_length", [9, 14, 20, 100])
def test_truncation_of_pairs_equals_roberta(strategy, side, max_length):
    ours, theirs = tokenizers(SMALL_BPE, truncation_side=side)
    first, second = (QUESTION, WORDS) if strategy == "only_second" else (WORDS, QUESTION)
    room = max_length - 4 - len(ours.tokenize(QUESTION))
    if strategy in ("only_first", "only_second") and room < 1:
        with pytest.raises(ValueError, match=rf"truncation='{strategy}' cannot reach max_length={max_length}"):
            ours(first, second, truncation=strategy, max_length=max_length)
        return
    encoding = assert_equal(ours, theirs, [first], [second], truncation=strategy, max_length=max_length)
    assert len(encoding["input_ids"][0]) <= max_length


@pytest.mark.parametrize("stride", [0, 1, 3, 9])
def test_fault_39_overflow_with_stride_covers_every_token(stride):
    ours, theirs = SMALL
    options = {"truncation": True, "max_length": 12, "stride": stride, "return_overflowing_tokens": True}
    windows = assert_equal(ours, theirs, [WORDS, QUESTION], **options)
    for row, text in enumerate((WORDS, QUESTION)):
        ids = ours(text, add_special_tokens=False)["input_ids"]
        parts = [
            part[1:-1]
            for part, of in zip(windows["input_ids"], windows["overflow_to_sample_mapping"], strict=True)
            if of == row
        ]
        joined = list(parts[0])
        for part in parts[1:]:
            assert stride == 0 or part[:stride] == joined[-stride:]
            joined += part[stride:]
        assert joined == ids
    assert_equal(ours, theirs, [QUESTION], [WORDS], **{**options, "truncation": "only_second", "max_length": 26})


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_length": 8, "stride": 6}, "stride=6 must be smaller than 6"),
        ({"max_length": 8, "stride": 20}, "stride=20 must be smaller than 6"),
        ({"max_length": 8, "stride": -1}, "stride=-1 is negative"),
        ({"max_length": 1}, "max_length=1 leaves no room for the 2 special tokens"),
        ({"max_length": 3, "text_pair": QUESTION}, "max_length=3 leaves no room for the 4 special tokens"),
    ],
)
def test_windows_that_cannot_move_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SMALL[0](WORDS, truncation=True, return_overflowing_tokens=True, **options)
    assert SMALL[0](WORDS, max_length=8)["input_ids"] == SMALL[1](WORDS, max_length=8)["input_ids"]


def test_words_and_prefix_space_equal_roberta():
    for prefix in (True, False):
        ours, theirs = tokenizers(SMALL_BPE, add_prefix_space=prefix)
        words = WORDS.split()
        assert_equal(ours, theirs, [words, words[:3]], is_split_into_words=True)
        assert_equal(ours, theirs, [WORDS])
    ours, theirs = tokenizers(SMALL_BPE, trim_offsets=False)
    assert_equal(ours, theirs, [WORDS, "  a  b "])


def test_mask_takes_the_space_before_it(both, tmp_path):
    text = "Hello <mask> world"
    expected = ["<s>", *both[0].tokenize("Hello"), " <mask>", *both[0].tokenize(" world"), "</s>"]
    assert both[0](text).tokens() == expected
    assert both[0].mask_token == "<mask>"
    # transformers 5 writes a tokenizer.json whose <mask> leaves the space alone.
    RobertaTokenizerFast.from_pretrained(both[0].name_or_path).save_pretrained(tmp_path)
    assert LongformerTokenizer.from_pretrained(tmp_path)(text).tokens() == expected
    assert LongformerTokenizer(tokenizer_file=tmp_path / "tokenizer.json")(text).tokens() == expected
    own = LongformerTokenizer(
        SMALL_BPE / "vocab.json", SMALL_BPE / "merges.txt", mask_token=AddedToken("<mask>", lstrip=False)
    )
    assert "Ġ" in own(text).tokens()


def test_special_token_helpers(both):
    ours = both[0]
    first, second = (ours(text, add_special_tokens=False)["input_ids"] for text in (WORDS, QUESTION))
    one, two = ours(WORDS, **EVERYTHING), ours(WORDS, QUESTION, **EVERYTHING)
    assert ours.build_inputs_with_special_tokens(first) == one["input_ids"]
    assert ours.build_inputs_with_special_tokens(first, second) == two["input_ids"]
    assert ours.create_token_type_ids_from_sequences(first) == one["token_type_ids"]
    assert ours.create_token_type_ids_from_sequences(first, second) == two["token_type_ids"]
    assert ours.get_special_tokens_mask(first) == one["special_tokens_mask"]
    assert ours.get_special_tokens_mask(first, second) == two["special_tokens_mask"]
    built = ours.get_special_tokens_mask(two["input_ids"], already_has_special_tokens=True)
    assert built == two["special_tokens_mask"]
    with pytest.raises(ValueError):
        ours.get_special_tokens_mask(first, second, already_has_special_tokens=True)


def test_copies_and_training_keep_the_format():
    ours = SMALL[0]
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert other(WORDS, QUESTION)["input_ids"] == ours(WORDS, QUESTION)["input_ids"]
        assert other("a <mask>").tokens() == ours("a <mask>").tokens()
    trained = ours.train_new_from_iterator([[WORDS, QUESTION]] * 20, vocab_size=300)
    assert isinstance(trained, LongformerTokenizer)
    tokens = trained("dog <mask>", "fox").tokens()
    assert tokens[0] == "<s>" and tokens[-1] == "</s>" and " <mask>" in tokens
    assert tokens.count("</s>") == 3
    assert trained.decode(trained(WORDS)["input_ids"], skip_special_tokens=True) == WORDS


def test_a_stride_too_wide_for_a_shortened_pair_is_an_error_not_a_panic():
    with pytest.raises(ValueError, match="stride=3 is not smaller than the room that max_length=8 leaves"):
        SMALL[0](WORDS, QUESTION, truncation=True, max_length=8, stride=3, return_overflowing_tokens=True)
