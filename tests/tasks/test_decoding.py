"""Passages from token probabilities: every unit, split, limit, label scheme; rules on disk."""

import re

import numpy as np
import pytest

from longspan.tasks.decoding import decode, normalize
from longspan.tasks.document import Document
from longspan.tasks.passages import Passage
from longspan.tasks.rules import DEFAULT_RULE, Rule, load_rules, save_rules

TEXT = "Preamble here. The law of Ohio governs it. Parties may not assign it. Nor may they sell it."
WORDS = [(m.start(), m.end()) for m in re.finditer(r"\S+", TEXT)]
OFFSETS = np.array([(0, 0), *WORDS, (0, 0)])  # with the special tokens around


def probabilities(columns):
    """(N, C) from, per column, word -> probability."""
    p = np.full((len(OFFSETS), len(columns)), 0.01)
    for c, column in enumerate(columns):
        for word, value in column.items():
            p[word + 1, c] = value
    return p


def words(*which, value=0.9):
    return dict.fromkeys(which, value)


def found(column, rule, begin=None):
    columns, labels = ([column], ["X"]) if begin is None else ([column, begin], ["I-X", "B-X"])
    return [TEXT[p.start : p.end] for p in decode(probabilities(columns), OFFSETS, TEXT, labels, {"X": rule})]


def test_tokens_are_taken_as_they_are():
    assert found(words(3, 4, 5), Rule("tokens", 0.5)) == ["law of Ohio"]


def test_a_gap_is_bridged_up_to_its_size():
    assert found(words(3, 5), Rule("tokens", 0.4, gap=1)) == ["law of Ohio"]
    assert found(words(3, 5), Rule("tokens", 0.4, gap=0)) == ["law", "Ohio"]


def test_weak_tokens_extend_a_run_but_do_not_make_one():
    column = words(3, 4) | words(5, value=0.3)
    assert found(column, Rule("tokens", 0.5, extend=0.5)) == ["law of Ohio"]
    assert found(column, Rule("tokens", 0.5, extend=1.0)) == ["law of"]
    assert found(words(5, value=0.3), Rule("tokens", 0.5, extend=0.5)) == []


def test_a_beginning_splits_a_run():
    inside, begin = words(8, 9, 10, 11, 12, 13, 14), words(8) | words(11)
    assert found(inside, Rule("tokens", 0.5, split=0.5), begin) == ["Parties may not", "assign it. Nor may"]
    assert found(inside, Rule("tokens", 0.5, split=None), begin) == ["Parties may not assign it. Nor may"]


def test_neighbouring_likely_beginnings_split_once():
    inside, begin = words(8, 9, 10, 11), words(9) | words(10)
    assert found(inside, Rule("tokens", 0.5, split=0.5), begin) == ["Parties", "may not assign"]


def test_snap_moves_ends_to_the_edges_of_the_sentence():
    assert found(words(3, 4, 5, 6, 7), Rule("snap", 0.5)) == ["The law of Ohio governs it."]
    assert found(words(5), Rule("snap", 0.5)) == ["Ohio"]
    assert found(words(5, 6, 7, 8), Rule("snap", 0.5)) == ["Ohio governs it."]


def test_sentences_are_judged_whole():
    assert found(words(3, 4, 5, 6), Rule("sentences", 0.5)) == ["The law of Ohio governs it."]
    assert found(words(4), Rule("sentences", 0.5)) == []


def test_neighbouring_sentences_join_unless_told_otherwise_or_a_new_one_begins():
    column = words(*range(8, 18))
    joined = ["Parties may not assign it. Nor may they sell it."]
    apart = ["Parties may not assign it.", "Nor may they sell it."]
    assert found(column, Rule("sentences", 0.5)) == joined
    assert found(column, Rule("sentences", 0.5, join=False)) == apart
    assert found(column, Rule("sentences", 0.5, split=0.5), words(13)) == apart


def test_no_passage_ends_inside_a_word():
    text = "in Dublin, (Ohio)"
    offsets = np.array([(0, 2), (3, 6), (6, 9), (9, 10), (11, 12), (12, 16), (16, 17)])
    inside = np.array([[0.1], [0.9], [0.2], [0.9], [0.1], [0.9], [0.1]])
    assert Document.build(text, offsets).words.tolist() == [0, 1, 1, 2, 3, 4, 5]
    pieces = [text[p.start : p.end] for p in decode(inside, offsets, text, ["X"], {"X": Rule(threshold=0.5, gap=0)})]
    assert pieces == ["Dublin,", "Ohio"]


def test_the_limit_keeps_the_best_or_the_earliest():
    column = words(3, value=0.6) | words(8, value=0.9)
    assert found(column, Rule("tokens", 0.5, limit=1, earliest=True)) == ["law"]
    assert found(column, Rule("tokens", 0.5, limit=1)) == ["Parties"]
    assert found(column, Rule("tokens", 0.5)) == ["law", "Parties"]


def test_scores_are_mean_probabilities_and_categories_may_overlap():
    p = probabilities([words(3, 4), words(4, value=0.7)])
    result = decode(p, OFFSETS, TEXT, ["A", "B"])
    assert (result[0].category, TEXT[result[0].start : result[0].end]) == ("A", "law of")
    assert result[0].score == pytest.approx(0.9)
    assert (result[1].category, TEXT[result[1].start : result[1].end]) == ("B", "of")
    assert result[1].score == pytest.approx(0.7)


def test_softmax_bio_labels_work_without_rules():
    labels = ["O", "B-LAW", "I-LAW"]
    p = np.tile([0.98, 0.01, 0.01], (len(OFFSETS), 1))
    p[4] = [0.1, 0.8, 0.1]
    p[5] = p[6] = [0.1, 0.1, 0.8]
    p[7] = [0.05, 0.9, 0.05]
    result = decode(p, OFFSETS, TEXT, labels, exclusive=True)
    assert [(r.category, TEXT[r.start : r.end]) for r in result] == [("LAW", "law of Ohio"), ("LAW", "governs")]


def test_softmax_bioes_labels_are_one_category():
    labels = ["O", "B-PER", "I-PER", "E-PER", "S-PER"]
    p = np.tile([0.96, 0.01, 0.01, 0.01, 0.01], (len(OFFSETS), 1))
    p[4], p[5], p[6] = [0.1, 0.8, 0, 0, 0.1], [0.1, 0, 0.9, 0, 0], [0.2, 0, 0.1, 0.7, 0]
    p[7], p[10] = [0.1, 0.2, 0, 0, 0.7], [0.1, 0, 0, 0, 0.9]
    result = decode(p, OFFSETS, TEXT, labels, exclusive=True)
    assert [(r.category, TEXT[r.start : r.end]) for r in result] == [
        ("PER", "law of Ohio"),
        ("PER", "governs"),
        ("PER", "may"),
    ]
    found = normalize(p, labels, exclusive=True)
    np.testing.assert_allclose(found["PER"][4:8], [[0.9, 0.9], [0.9, 0], [0.8, 0], [0.9, 0.9]], atol=1e-12)


def test_a_plain_name_keeps_what_looks_like_a_mark():
    for labels in (["E-mail", "S-Corp"], ["O", "Date", "E-mail", "S-Corp"]):
        found = normalize(np.zeros((1, len(labels))), labels, exclusive=False)
        assert [*found] == [label for label in labels if label != "O"]


def test_special_tokens_never_reach_a_passage():
    assert decode(np.full((len(OFFSETS), 1), 0.9), OFFSETS, TEXT, ["X"]) == [
        Passage("X", 0, len(TEXT), pytest.approx(0.9))
    ]


def test_empty_text():
    assert decode(np.full((2, 1), 0.9), np.zeros((2, 2), int), "", ["X"]) == []
    assert decode(np.zeros((0, 1)), np.zeros((0, 2), int), "", ["X"], {"X": Rule("sentences")}) == []


def test_begin_without_inside_is_inside():
    assert normalize(np.array([[0.9]]), ["B-X"], exclusive=False)["X"].tolist() == [[0.9, 0.9]]


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"probabilities must have shape \(N, 2\), got \(3, 1\)"):
        normalize(np.zeros((3, 1)), ["A", "B"], exclusive=False)
    with pytest.raises(ValueError, match=r"offsets must have 3 rows like probabilities, got 2"):
        decode(np.zeros((3, 1)), np.zeros((2, 2), int), "", ["A"])
    with pytest.raises(ValueError, match=r"offsets must have shape \(N, 2\)"):
        decode(np.zeros((3, 1)), np.zeros(3), "", ["A"])


def test_rules_survive_the_disk(tmp_path):
    rules = {"A": Rule("snap", 0.35, 0.5, 4, None, True, 1, True), "B": DEFAULT_RULE}
    save_rules(rules, tmp_path / "decoding.json")
    assert load_rules(tmp_path / "decoding.json") == rules


@pytest.mark.parametrize("content", ["{", "[]", '{"A": 3}', '{"A": {"unit": "words"}}', '{"A": {"colour": 1}}'])
def test_faulty_rules_are_refused_by_file_name(tmp_path, content):
    file = tmp_path / "decoding.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"decoding\.json holds no decoding rules"):
        load_rules(file)
