"""Token labels of passages, and the crops drawn from them."""

import numpy as np
import pytest

from longspan.tasks.logits import NO_TARGET
from longspan.tasks.passages import Passage
from longspan.train.crops import MASK_ID, CropSampler, add_edges, encode, hide
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
    labels = [d.labels for d in documents]
    return CropSampler(documents, labels, focus=2, vocabulary=280, length=32, batch=8, masked=0.25, seed=3)


def test_the_first_crops_hold_a_passage(sampler):
    for step in range(20):
        batch = sampler.draw(step)
        assert batch.ids.shape == batch.valid.shape == batch.hidden.shape == (8, 32)
        assert batch.labels.shape == (8, 32, 2)
        assert (batch.ids[~batch.valid] == 1).all() and not batch.labels[~batch.valid].any()
        assert batch.labels[:4].any(axis=(1, 2)).all()


def test_crops_from_anywhere_need_no_passages(tokenizer):
    document = encode(tokenizer, TEXT, [], [])
    batch = CropSampler([document], [document.labels], focus=0, vocabulary=280, length=32, around=0).draw(0)
    assert batch.valid.all() and batch.labels.shape == (8, 32, 0)
    assert len({tuple(row) for row in batch.ids}) > 1


def test_hidden_tokens_become_masks_others_or_stay(sampler):
    ids = np.concatenate([np.arange(5), np.full(20_000, 9)])
    shown, hidden = hide(ids, 0.25, 280, np.random.default_rng(0))
    assert np.array_equal(shown[:5], ids[:5]) and (hidden[:5] == NO_TARGET).all()
    chosen = hidden != NO_TARGET
    assert 0.24 < chosen[5:].mean() < 0.26 and (hidden[chosen] == 9).all()
    assert (shown[~chosen] == ids[~chosen]).all()
    assert 0.78 < (shown[chosen] == MASK_ID).mean() < 0.82
    assert 0.08 < (shown[chosen] == 9).mean() < 0.12
    assert shown.max() < 280 and not np.isin(shown[chosen], np.arange(MASK_ID)).any()


def test_a_batch_tells_what_it_hides(sampler):
    draws = [sampler.draw(step) for step in range(30)]
    hidden = sum((batch.hidden != NO_TARGET).sum() for batch in draws)
    assert 0.17 < hidden / sum(batch.valid.sum() for batch in draws) < 0.33
    assert all((batch.hidden[~batch.valid] == NO_TARGET).all() for batch in draws)
    assert any((batch.ids == 0).any() for batch in draws)


def test_a_draw_depends_on_seed_and_step_only(sampler):
    first, again, other = sampler.draw(7), sampler.draw(7), sampler.draw(8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.ids, other.ids)
