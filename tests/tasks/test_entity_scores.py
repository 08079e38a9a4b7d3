"""Scores of entities, added up document by document: those of seqeval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.tasks.entity_scores import count_tags, score_tags

TAGS = ["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b"]
documents = st.lists(st.lists(st.tuples(*[st.sampled_from(TAGS)] * 2), min_size=1, max_size=12), min_size=1, max_size=6)


@given(documents)
def test_scores_are_those_of_seqeval(pairs):
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    gold, found = ([[pair[side] for pair in document] for document in pairs] for side in (0, 1))
    scores = score_tags(count_tags(*tags) for tags in zip(gold, found, strict=True))
    assert scores["accuracy"] == pytest.approx(seqeval.accuracy_score(gold, found))
    kinds = sorted(name.removeprefix("f1_") for name in scores if name.startswith("f1_"))
    if not kinds:
        assert scores["f1"] == scores["precision"] == scores["recall"] == 0
        return
    micro = seqeval.precision_recall_fscore_support(gold, found, average="micro", zero_division=0)
    assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx(list(micro[:3]))
    each = seqeval.precision_recall_fscore_support(gold, found, average=None, zero_division=0)
    assert [scores[f"f1_{kind}"] for kind in kinds] == pytest.approx(list(each[2]))


def test_what_cannot_be_scored():
    with pytest.raises(ValueError, match="there is no word to score"):
        score_tags([])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        count_tags(["O", "O"], ["O"])
