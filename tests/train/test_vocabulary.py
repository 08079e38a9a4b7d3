"""The tokenizer and the word vectors of the recipe."""

import numpy as np
import pytest

from longspan.train.vocabulary import SPECIAL_TOKENS, embed_words, train_tokenizer

TEXTS = [
    "The Licensee shall pay $1,250 by May 8, 2014.\n\nThe “Licensor” agrees." * 5,
    "Société anonyme; the Licensee.",
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, size=300)


def test_special_tokens_have_robertas_ids(tokenizer):
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert tokenizer.encode("pay").ids[0] == 0 and tokenizer.encode("pay").ids[-1] == 2


def test_digits_stand_alone(tokenizer):
    tokens = [t.strip("Ġ") for t in tokenizer.encode("pay 1,250 or 2014").tokens]
    assert {t for t in tokens if any(c.isdigit() for c in t)} <= set("0123456789")


@pytest.mark.parametrize("text", [*TEXTS, "naïve 合同 😀 \r\n\tx", " a  b "])
def test_text_comes_back_and_offsets_slice_it(tokenizer, text):
    encoding = tokenizer.encode(text)
    assert tokenizer.decode(encoding.ids) == text
    covered = set()
    for (start, end), token in zip(encoding.offsets, encoding.tokens, strict=True):
        assert 0 <= start <= end <= len(text)
        covered |= set(range(start, end))
        if token.isascii() and token not in SPECIAL_TOKENS:
            assert text[start:end] == token
    assert all(text[i].isspace() for i in set(range(len(text))) - covered)


def test_words_with_the_same_neighbours_get_similar_vectors():
    rng = np.random.default_rng(0)
    # 10 and 11 stand in one kind of company, 20 in another; 0 never occurs.
    ids = [x for _ in range(400) for x in (rng.integers(1, 5), rng.choice([10, 11]), rng.integers(5, 9), 20)]
    vectors = embed_words([np.array(ids)], 24, 8, reach=1)
    assert vectors.shape == (24, 8) and vectors.dtype == np.float32
    assert np.sqrt((vectors**2).mean()) == pytest.approx(1, abs=1e-5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    others = [unit[10] @ unit[x] for x in range(1, 24) if x not in (10, 11)]
    assert unit[10] @ unit[11] > max(others) + 0.2
    assert np.allclose(vectors[0], 0, atol=1e-5)
    assert np.array_equal(vectors, embed_words([np.array(ids)], 24, 8, reach=1))
