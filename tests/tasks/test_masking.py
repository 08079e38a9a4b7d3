"""RoBERTa's recipe: its shares by count, its rules in every case."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from longspan.tasks.logits import NO_TARGET
from longspan.tasks.masking import Masking, masking_for
from tests.tasks.small_tokenizers import KINDS

SPECIAL = np.arange(5)
MASK = 4


def masking(size):
    return Masking(MASK, SPECIAL, np.arange(5, size))


def draw(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def many_rows():
    """(200, 1000) ids with a special token at both ends, and what became of them."""
    ids = draw().integers(5, 105, (200, 1000))
    ids[:, 0], ids[:, -1] = 0, 2
    seen, labels = zip(*(masking(105)(row, draw(i)) for i, row in enumerate(ids)), strict=True)
    return ids, np.array(seen), np.array(labels)


def test_fifteen_percent_are_chosen(many_rows):
    _, _, labels = many_rows
    chosen = (labels != NO_TARGET).sum(axis=1)
    # of 998 tokens: 149.7, rounded down or up
    assert set(chosen) == {149, 150}
    assert chosen.mean() == pytest.approx(149.7, abs=0.15)
    places = (labels != NO_TARGET).mean(axis=0)[1:-1]
    assert places.min() > 0.05 and places.max() < 0.27  # 200 rows: four standard deviations


def test_eighty_ten_ten(many_rows):
    ids, seen, labels = many_rows
    chosen = labels != NO_TARGET
    masked = (seen == MASK) & chosen
    changed = (seen != ids) & chosen & ~masked
    n = chosen.sum()  # about 29,940
    assert masked.sum() / n == pytest.approx(0.8, abs=0.01)
    # one of 100 random tokens is the one that stood there
    assert changed.sum() / n == pytest.approx(0.1 * 99 / 100, abs=0.008)
    counts = np.bincount(seen[changed], minlength=105)
    assert counts[:5].sum() == 0
    assert counts[5:].min() > 5 and counts[5:].max() < 60  # 29.6 of each are expected


def test_whole_words_give_each_token_the_same_chance():
    # words of one and of five tokens in turn
    words = np.repeat(np.arange(400), np.where(np.arange(400) % 2, 5, 1))
    ids = np.full(len(words), 7)
    chosen = np.array([masking(50)(ids, draw(seed), words)[1] != NO_TARGET for seed in range(500)])
    length = np.where(words % 2, 5, 1)
    assert chosen.mean() == pytest.approx(0.15, abs=0.004)
    assert chosen[:, length == 1].mean() == pytest.approx(0.15, abs=0.006)
    assert chosen[:, length == 5].mean() == pytest.approx(0.15, abs=0.006)


def test_masks_of_many_small_rows_are_fifteen_percent_too():
    ids = np.array([0, 9, 10, 2])
    chosen = sum(int((masking(50)(ids, draw(seed))[1] != NO_TARGET).sum()) for seed in range(4000))
    assert chosen / 8000 == pytest.approx(0.15, abs=0.02)


rows = st.lists(st.integers(0, 30), max_size=60)


@given(rows, st.lists(st.integers(1, 4), min_size=60, max_size=60), st.booleans(), st.integers(0, 2**32))
def test_rules(ids, lengths, whole_words, seed):
    ids = np.array(ids, dtype=np.int64)
    words = np.repeat(np.arange(60), lengths)[: len(ids)] if whole_words else None
    before = ids.copy()
    seen, labels = masking(31)(ids, draw(seed), words)
    again = masking(31)(ids, draw(seed), words)
    assert np.array_equal(ids, before) and all(map(np.array_equal, (seen, labels), again))
    chosen = labels != NO_TARGET
    special = np.isin(ids, SPECIAL)
    assert not chosen[special].any()
    assert np.array_equal(labels[chosen], ids[chosen])
    assert np.array_equal(seen[~chosen], ids[~chosen])
    assert np.isin(seen[chosen], [MASK, *range(5, 31)]).all()
    units = _units(special, words)
    picked = [unit for unit in units if chosen[unit].any()]
    assert all(chosen[unit].all() for unit in picked)
    # one fate a unit: all masked, or none
    assert all(len(set(seen[unit] == MASK)) == 1 for unit in picked)
    assert len(picked) in {math.floor(0.15 * len(units)), math.ceil(0.15 * len(units))}


def _units(special, words):
    """Places of each word, or token; special tokens part words."""
    units = []
    for i in np.flatnonzero(~special):
        if words is not None and units and units[-1][-1] == i - 1 and words[i] == words[i - 1]:
            units[-1].append(i)
        else:
            units.append([i])
    return units


@pytest.mark.parametrize("kind", KINDS)
def test_masking_of_a_tokenizer(kind):
    tokenizer = KINDS[kind]()
    made = masking_for(tokenizer)
    assert made.mask_id == tokenizer.mask_token_id
    assert set(made.special) == set(tokenizer.all_special_ids) and len(made.special) == 5
    assert sorted({*made.special, *made.ordinary}) == list(range(len(tokenizer)))
    ids = np.array(tokenizer("The party.")["input_ids"])
    assert list(made.maskable(ids)) == [False, *[True] * (len(ids) - 2), False]


def test_a_tokenizer_without_a_mask_token_is_refused():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")), name_or_path="bare"
    )
    with pytest.raises(ValueError, match=r"the tokenizer 'bare' has no mask token"):
        masking_for(tokenizer)
