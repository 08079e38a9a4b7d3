"""From one probability per token and label to passages.

A label may be plain (``Governing Law``) or carry the marks of BIO tagging: ``I-X`` says that a token is inside a
passage of X, ``B-X`` that it is the first one; BIOES has ``E-X`` for the last one and ``S-X`` for one alone. A rule per
category says how runs of likely tokens become passages.

Under per-label sigmoids ``I-X`` (or plain ``X``) covers every token of the passage and ``B-X`` is an extra; under a
softmax over marked labels these exclude each other and are added. `normalize` brings both to the same form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from longspan.tasks.document import Document
from longspan.tasks.passages import Passage
from longspan.tasks.rules import DEFAULT_RULE, Rule

_MARKED = re.compile(r"[BIES]-.+", re.DOTALL)


def split_labels(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Mark and category of each label: ``B-X`` is ("B", "X"), a plain ``X`` ("", "X"), ``O`` ("O", "").

    ``E-`` and ``S-`` are marks only where every label but ``O`` has one: else they are how a category's name begins.
    """
    every = "O" in labels and all(label == "O" or _MARKED.fullmatch(label) for label in labels)
    marks = "BIES" if every else "BI"
    found = []
    for label in labels:
        marked = len(label) > 1 and label[1] == "-" and label[0] in marks
        found.append(("O", "") if label == "O" else (label[0], label[2:]) if marked else ("", label))
    return found


def normalize(probabilities: np.ndarray, labels: Sequence[str], *, exclusive: bool) -> dict[str, np.ndarray]:
    """Category -> (N, 2) float: probability of inside, probability of beginning (0 where there is no such label).

    Args:
        probabilities: (N, C), after a sigmoid or softmax.
        labels: the C labels. ``O`` is nobody's.
        exclusive: whether the labels exclude each other (softmax): then a beginning token is added to the inside.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        raise ValueError(f"probabilities must have shape (N, {len(labels)}), got {probabilities.shape}")
    columns: dict[str, tuple[list[int], list[int]]] = {}
    for column, (mark, name) in enumerate(split_labels(labels)):
        if mark != "O":
            inside, begin = columns.setdefault(name, ([], []))
            (begin if mark in ("B", "S") else inside).append(column)
    # labels that exclude each other share a token between them; of others the likeliest counts
    join = np.sum if exclusive else np.max
    categories: dict[str, np.ndarray] = {}
    for name, (inside, begin) in columns.items():
        pair = categories[name] = np.zeros((len(probabilities), 2), dtype=np.float64)
        whole = inside + begin if exclusive else inside or begin
        for place, chosen in enumerate((whole, begin)):
            if chosen:
                pair[:, place] = join(probabilities[:, chosen].astype(np.float64), axis=1)
    return categories


def decode(
    probabilities: np.ndarray,
    offsets: np.ndarray,
    text: str,
    labels: Sequence[str],
    rules: Mapping[str, Rule] | None = None,
    *,
    exclusive: bool = False,
) -> list[Passage]:
    """The passages of a text, sorted by start.

    Args:
        probabilities: (N, C), after a sigmoid (`exclusive` False) or a softmax (True).
        offsets: (N, 2) code points of each token; an empty range marks a special token.
        text: the text itself.
        labels: names of the C columns.
        rules: category -> rule; `DEFAULT_RULE` where a category has none.
    """
    document = Document.build(text, offsets)
    if len(document.offsets) != len(probabilities):
        raise ValueError(f"offsets must have {len(probabilities)} rows like probabilities, got {len(document.offsets)}")
    found: list[Passage] = []
    for category, pair in normalize(probabilities, labels, exclusive=exclusive).items():
        rule = (rules or {}).get(category, DEFAULT_RULE)
        found += limit_passages(find_passages(category, document.pool(pair[:, 0]), pair[:, 1], document, rule), rule)
    return sorted(found, key=lambda p: (p.start, p.end, p.category))


def find_passages(
    category: str, inside: np.ndarray, begin: np.ndarray, document: Document, rule: Rule
) -> list[Passage]:
    """The passages of one category, sorted by start, without the rule's limit.

    Args:
        category: their label.
        inside: (N,) probabilities, pooled over words (`Document.pool`): no passage begins or ends inside a word.
        begin: (N,) probabilities of a beginning, not pooled.
        document: the text. rule: the category's rule.
    """
    sums = np.concatenate([[0.0], np.cumsum(inside)])
    if rule.unit == "sentences":
        first, last = _sentence_runs(sums, begin, document, rule)
    else:
        first, last = _token_runs(inside, begin, rule)
    means = (sums[last] - sums[first]) / np.maximum(last - first, 1)
    found: dict[tuple[int, int], Passage] = {}
    for run in np.flatnonzero(means >= rule.threshold).tolist():
        start, end = document.characters(int(first[run]), int(last[run]))
        if rule.unit == "snap" and start < end:
            start, end = document.snap(start, end)
        if start < end:
            found[start, end] = Passage(category, start, end, min(float(means[run]), 1.0))
    return [found[key] for key in sorted(found)]


def limit_passages(passages: Sequence[Passage], rule: Rule) -> list[Passage]:
    """The passages that the rule's limit leaves, in their order."""
    kept = sorted(passages, key=lambda p: p.start if rule.earliest else -p.score)[: rule.limit]
    return sorted(kept, key=lambda p: p.start)


def _token_runs(inside: np.ndarray, begin: np.ndarray, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """(R,) first tokens and (R,) last tokens + 1 of runs of likely tokens."""
    likely = np.flatnonzero(inside >= max(rule.threshold * rule.extend, 1e-6))
    fresh = np.ones(len(likely), dtype=bool)
    fresh[1:] = np.diff(likely) > rule.gap + 1
    if rule.split is not None:
        # The first of several likely beginnings counts, not each of them.
        fresh |= (begin[likely] >= rule.split) & (begin[likely - 1] < rule.split)
    ends = np.ones(len(likely), dtype=bool)
    ends[:-1] = fresh[1:]
    return likely[fresh], likely[ends] + 1


def _sentence_runs(
    sums: np.ndarray, begin: np.ndarray, document: Document, rule: Rule
) -> tuple[np.ndarray, np.ndarray]:
    """The same of sentences with a sufficient mean, which neighbours may share."""
    first, last = document.tokens[:, 0], document.tokens[:, 1]
    means = (sums[last] - sums[first]) / np.maximum(last - first, 1)
    runs: list[tuple[int, int]] = []
    for s in np.flatnonzero((means >= rule.threshold) & (last > first)).tolist():
        a, b = int(first[s]), int(last[s])
        joins = rule.join and bool(runs) and runs[-1][1] >= a
        if joins and rule.split is not None and begin[a : min(b, a + 8)].max() >= rule.split:
            joins = False
        if joins:
            runs[-1] = (runs[-1][0], b)
        else:
            runs.append((a, b))
    array = np.array(runs, dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]
