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


def test_words_of_one_company_get_similar_vectors():
    rng = np.random.default_rng(0)
    # 1 to 5 stand together, 6 to 10 stand together, 0 and 11 never occur.
    documents = [rng.integers(low, low + 5, 100) for low in (1, 6) for _ in range(20)]
    vectors = embed_words(documents, 12, 2, reach=3)
    assert vectors.shape == (12, 2) and vectors.dtype == np.float32
    assert np.sqrt((vectors**2).mean()) == pytest.approx(1, abs=1e-5)
    assert np.allclose(vectors[[0, 11]], 0, atol=1e-5)
    unit = vectors[1:11] / np.linalg.norm(vectors[1:11], axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[:5, :5].min() > 0.9 and cosine[5:, 5:].min() > 0.9
    assert np.abs(cosine[:5, 5:]).max() < 0.1
    assert np.array_equal(vectors, embed_words(documents, 12, 2, reach=3))
