"""Token labels of passages, and the crops drawn from them."""

import numpy as np
import pytest

from longspan.tasks.passages import Passage
from longspan.train.crops import MASK_ID, CropSampler, add_edges, encode
from longspan.train.vocabulary import train_tokenizer

TEXT = "This Agreement is governed by the law of Ohio. " * 3 + "The term ends on May 8, 2014. " + "Other words. " * 60


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT], size=280)


def passage(category, piece):
    start = TEXT.index(piece)
    return Passage(category, start, start + len(piece))


def test_labelled_tokens_cover_the_passage_and_nothing_else(tokenizer):
    passages = [passage("Law", "the law of Ohio"), passage("Date", "May 8, 2014"), passage("Other", "Other words")]
    document = encode(tokenizer, TEXT, passages, ["Date", "Law"])
    assert document.labels.shape == (len(document.ids), 2)
    assert document.ids[0] == 0 and document.ids[-1] == 2 and not document.labels[[0, -1]].any()
    for column, p in ((0, passages[1]), (1, passages[0])):
        ranges = document.offsets[document.labels[:, column]]
        assert ranges[:, 0].min() <= p.start < p.end <= ranges[:, 1].max()
        assert TEXT[ranges[0, 0] : ranges[-1, 1]] == TEXT[p.start : p.end]
    assert len(document.spans) == 2


def test_edges_mark_the_first_and_last_token(tokenizer):
    document = encode(tokenizer, TEXT, [passage("Law", "the law of Ohio")], ["Law", "Else"])
    labels = add_edges(document, 1)
    ((_, first, last),) = document.spans
    assert labels.shape[1] == 4
    assert np.flatnonzero(labels[:, 2]).tolist() == [first]
    assert np.flatnonzero(labels[:, 3]).tolist() == [last - 1]


@pytest.fixture(scope="module")
def sampler(tokenizer):
    document = encode(
        tokenizer, TEXT, [passage("Law", "the law of Ohio"), passage("Date", "May 8, 2014")], ["Law", "Date"]
    )
    short = encode(tokenizer, "Of Ohio.", [], ["Law", "Date"])
    documents = [document, short]
    return CropSampler(documents, [d.labels for d in documents], focus=2, length=32, batch=8, masked=0.2, seed=3)


def test_half_of_the_crops_hold_a_passage(sampler):
    for step in range(20):
        ids, labels, valid = sampler.draw(step)
        assert ids.shape == valid.shape == (8, 32) and labels.shape == (8, 32, 2)
        assert (ids[~valid] == 1).all() and not labels[~valid].any()
        assert labels[::2].any(axis=(1, 2)).all()


def test_some_tokens_are_hidden_but_never_special_ones(sampler):
    draws = [sampler.draw(step) for step in range(30)]
    hidden = sum((ids == MASK_ID).sum() for ids, _, _ in draws)
    seen = sum(valid.sum() for _, _, valid in draws)
    assert 0.12 < hidden / seen < 0.28
    assert any((ids == 0).any() for ids, _, _ in draws)


def test_a_draw_depends_on_seed_and_step_only(sampler):
    first, again, other = sampler.draw(7), sampler.draw(7), sampler.draw(8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
