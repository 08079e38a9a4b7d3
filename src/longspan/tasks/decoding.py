"""From one probability per token and label to passages.

A label may be plain (``Governing Law``) or carry the prefixes of BIO tagging: ``I-X`` says that a token is inside a
passage of X, ``B-X`` that it is the first one. A rule per category says how runs of likely tokens become passages.

Under per-label sigmoids ``I-X`` (or plain ``X``) covers every token of the passage and ``B-X`` is an extra; under a
softmax over BIO labels the two exclude each other and are added. `normalize` brings both to the same form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from longspan.tasks.passages import Passage
from longspan.tasks.sentences import split_sentences

UNITS = ("tokens", "snap", "sentences")


@dataclass(frozen=True)
class Rule:
    """How one category is read off the probabilities.

    unit: ``tokens`` takes runs of likely tokens as they are; ``snap`` moves their ends to the edges of sentences close
        by; ``sentences`` judges whole sentences by their mean probability and joins neighbours.
    threshold: least score of a passage (mean probability of its tokens).
    extend: least probability of a token inside a run (``tokens`` and ``snap``), as a fraction of the threshold.
    gap: unlikely tokens (``tokens`` and ``snap``) or 0 (``sentences``) that a run may bridge.
    split: probability of ``B-X`` from which a new passage begins inside a run; None never splits there.
    join: whether neighbouring sentences make one passage (``sentences``).
    limit: most passages of a document, best scores first; None for any number.
    """

    unit: str = "tokens"
    threshold: float = 0.5
    extend: float = 1.0
    gap: int = 1
    split: float | None = 0.5
    join: bool = True
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {self.unit!r}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be between 0 and 1, got {self.threshold!r}")


DEFAULT_RULE = Rule()


@dataclass(frozen=True)
class Document:
    """What the rules need to know of a text, computed once.

    text: the text. offsets: (N, 2) int64 code points of the tokens; an empty range marks a special token.
    sentences: (S, 2) int64 code points. tokens: (S, 2) int64, each sentence's first token and last token + 1.
    """

    text: str
    offsets: np.ndarray
    sentences: np.ndarray
    tokens: np.ndarray

    @classmethod
    def build(cls, text: str, offsets: np.ndarray) -> Document:
        offsets = np.asarray(offsets, dtype=np.int64)
        if offsets.ndim != 2 or offsets.shape[1] != 2:
            raise ValueError(f"offsets must have shape (N, 2), got {offsets.shape}")
        sentences = np.array(split_sentences(text), dtype=np.int64).reshape(-1, 2)
        # Special tokens have the range (0, 0), which would break the order at the end of the document.
        ends, starts = np.maximum.accumulate(offsets[:, 1]), offsets[:, 0].copy()
        empty = offsets[:, 0] >= offsets[:, 1]
        starts[empty] = ends[empty]
        first = np.searchsorted(ends, sentences[:, 0], side="right")
        last = np.searchsorted(starts, sentences[:, 1], side="left")
        return cls(text, offsets, sentences, np.stack([first, np.maximum(last, first)], axis=1))


def normalize(probabilities: np.ndarray, labels: Sequence[str], *, exclusive: bool) -> dict[str, np.ndarray]:
    """Category -> (N, 2) float: probability of inside, probability of beginning (0 where there is no such label).

    Args:
        probabilities: (N, C), after a sigmoid or softmax.
        labels: the C labels. ``O`` is nobody's.
        exclusive: whether the labels exclude each other (softmax): then a beginning token is added to the inside.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        raise ValueError(f"probabilities must have shape (N, {len(labels)}), got {probabilities.shape}")
    categories: dict[str, np.ndarray] = {}
    for column, label in enumerate(labels):
        if label == "O":
            continue
        begins, name = label.startswith("B-"), label[2:] if label[:2] in ("B-", "I-") else label
        pair = categories.setdefault(name, np.zeros((len(probabilities), 2), dtype=np.float64))
        if begins:
            pair[:, 1] = probabilities[:, column]
        if not begins or exclusive:
            pair[:, 0] += probabilities[:, column]
    for name, pair in categories.items():
        if not exclusive and f"I-{name}" not in labels and name not in labels:
            pair[:, 0] = pair[:, 1]
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
        found += decode_category(category, pair[:, 0], pair[:, 1], document, rule)
    return sorted(found, key=lambda p: (p.start, p.end, p.category))


def decode_category(
    category: str, inside: np.ndarray, begin: np.ndarray, document: Document, rule: Rule
) -> list[Passage]:
    """The passages of one category; `inside` and `begin` are (N,) probabilities."""
    runs = (
        _sentence_runs(inside, begin, document, rule) if rule.unit == "sentences" else _token_runs(inside, begin, rule)
    )
    found: dict[tuple[int, int], Passage] = {}
    for first, last in runs:
        score = float(inside[first:last].mean())
        if score < rule.threshold:
            continue
        start, end = _characters(document, first, last)
        if rule.unit == "snap":
            start, end = _snap(document, start, end)
        if start < end:
            found[start, end] = Passage(category, start, end, min(score, 1.0))
    passages = sorted(found.values(), key=lambda p: -p.score)[: rule.limit]
    return sorted(passages, key=lambda p: p.start)


def _token_runs(inside: np.ndarray, begin: np.ndarray, rule: Rule) -> list[tuple[int, int]]:
    likely = np.flatnonzero(inside >= max(rule.threshold * rule.extend, 1e-6))
    runs: list[tuple[int, int]] = []
    for token in likely.tolist():
        breaks = not runs or token - runs[-1][1] > rule.gap
        if not breaks and rule.split is not None and begin[token] >= rule.split:
            # The first of several likely beginnings counts, not each of them.
            breaks = begin[token - 1] < rule.split
        if breaks:
            runs.append((token, token + 1))
        else:
            runs[-1] = (runs[-1][0], token + 1)
    return runs


def _sentence_runs(inside: np.ndarray, begin: np.ndarray, document: Document, rule: Rule) -> list[tuple[int, int]]:
    sums = np.concatenate([[0.0], np.cumsum(inside)])
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
    return runs


def _characters(document: Document, first: int, last: int) -> tuple[int, int]:
    ranges = document.offsets[first:last]
    ranges = ranges[ranges[:, 0] < ranges[:, 1]]
    if not len(ranges):
        return 0, 0
    start, end = int(ranges[0, 0]), int(ranges[:, 1].max())
    piece = document.text[start:end]
    return end - len(piece.lstrip()), start + len(piece.rstrip())


def _snap(document: Document, start: int, end: int) -> tuple[int, int]:
    """Move each end to the edge of its sentence where that leaves out or takes in at most a third of the sentence."""
    s = max(int(np.searchsorted(document.sentences[:, 0], start, side="right")) - 1, 0)
    e = max(int(np.searchsorted(document.sentences[:, 0], end - 1, side="right")) - 1, 0)
    left, right = document.sentences[s]
    if start - left <= (right - left) / 3:
        start = int(left)
    elif s < e and right - start <= (right - left) / 3 and s + 1 < len(document.sentences):
        start = int(document.sentences[s + 1, 0])
    left, right = document.sentences[e]
    if right - end <= (right - left) / 3:
        end = int(right)
    elif s < e and end - left <= (right - left) / 3:
        end = int(document.sentences[e - 1, 1])
    return start, max(end, start)


def load_rules(path: str | os.PathLike[str]) -> dict[str, Rule]:
    """Rules from a JSON object, category -> fields of `Rule`.

    Raises:
        ValueError: the file is not such an object; names the file and the fault.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        return {category: Rule(**fields) for category, fields in data.items()}
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no decoding rules: {error}") from error


def save_rules(rules: Mapping[str, Rule], path: str | os.PathLike[str]) -> None:
    """Write what `load_rules` reads."""
    data = {category: asdict(rule) for category, rule in rules.items()}
    Path(path).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
