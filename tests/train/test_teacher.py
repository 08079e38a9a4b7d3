"""Soft labels of sentences, spread over tokens."""

import numpy as np
import pytest

from longspan.tasks.baselines import SentenceClassifier
from longspan.tasks.cuad import Contract
from longspan.tasks.passages import Passage
from longspan.train.crops import encode
from longspan.train.teacher import soft_labels, soften, spread
from longspan.train.vocabulary import train_tokenizer


def test_tokens_get_the_value_of_their_sentence():
    offsets = np.array([(0, 0), (0, 3), (4, 7), (8, 9), (12, 15), (0, 0)])
    values = np.array([[0.25, 0.5], [0.75, 1.0]])
    soft = spread(offsets, [(0, 9), (11, 15)], values)
    assert soft.tolist() == [[0, 0], *[[0.25, 0.5]] * 3, [0.75, 1.0], [0, 0]]


def test_softening_keeps_the_order_and_the_middle():
    p = np.array([0.0, 0.01, 0.5, 0.9, 1.0])
    soft = soften(p)
    assert soft[2] == pytest.approx(0.5) and (np.diff(soft) > 0).all()
    assert np.isfinite(soft).all() and (soft[:2] > p[:2]).all() and (soft[3:] < p[3:]).all()


def test_no_contract_is_judged_by_what_it_taught(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    texts = [f"The law of state{i} governs. " + "Nothing else matters. " * 5 for i in range(6)]
    contracts = [Contract(str(i), "train", t, (Passage("Law", 0, 27),)) for i, t in enumerate(texts)]
    tokenizer = train_tokenizer(texts, size=300)
    documents = [encode(tokenizer, c.text, c.passages, ["Law"]) for c in contracts]
    learnt = []
    fit = SentenceClassifier.fit
    monkeypatch.setattr(SentenceClassifier, "fit", lambda self, pairs: learnt.append(pairs) or fit(self, pairs))
    judged = []
    look = SentenceClassifier.probabilities
    monkeypatch.setattr(
        SentenceClassifier, "probabilities", lambda self, text: judged.append((len(learnt), text)) or look(self, text)
    )
    soft = soft_labels(contracts, documents, ["Law"], tmp_path / "teacher.npy", folds=3)
    assert sorted(text for _, text in judged) == sorted(texts)
    assert all(text not in [t for t, _ in learnt[fold - 1]] for fold, text in judged)
    assert all(s.shape == (len(d.ids), 1) for s, d in zip(soft, documents, strict=True))
    # The sentence with a law in it is likelier than the others, also in the last contract.
    assert soft[-1][2, 0] > soft[-1][-2, 0]
    again = soft_labels(contracts, documents, ["Law"], tmp_path / "teacher.npy", folds=3)
    assert len(judged) == 6 and all(np.array_equal(a, b) for a, b in zip(soft, again, strict=True))
