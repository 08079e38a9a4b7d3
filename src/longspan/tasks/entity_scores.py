"""Precision, recall and F1 of whole entities, from counts that add up over documents; the figures are those of seqeval.

An entity is right where its kind, first and last word are. Nakayama: seqeval, https://github.com/chakki-works/seqeval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longspan.tasks.conll import find_entities


class TagCounts(NamedTuple):
    """Counts of one document.

    Attributes:
        right, words: words with the right tag, and all.
        entities: (kind, right, found, gold) numbers of entities of each kind.
    """

    right: int
    words: int
    entities: tuple[tuple[str, int, int, int], ...]


def count_tags(gold: Sequence[str], found: Sequence[str]) -> TagCounts:
    """The counts of a document from the right tag of each word and the one that is said.

    Raises:
        ValueError: there are not equally many.
    """
    right = sum(a == b for a, b in zip(gold, found, strict=True))
    wanted, said = set(find_entities(gold)), set(find_entities(found))
    a, b, c = (Counter(kind for kind, _, _ in entities) for entities in (wanted & said, said, wanted))
    return TagCounts(right, len(gold), tuple((kind, a[kind], b[kind], c[kind]) for kind in sorted(b.keys() | c.keys())))


def score_tags(counts: Iterable[TagCounts]) -> dict[str, float]:
    """Micro ``precision``, ``recall``, ``f1``, ``accuracy`` over words, and ``f1_KIND`` of each kind that occurs.

    Raises:
        ValueError: there is no word.
    """
    right = words = 0
    totals: dict[str, tuple[int, int, int]] = {}
    for document in counts:
        right, words = right + document.right, words + document.words
        for kind, *numbers in document.entities:
            a, b, c = totals.get(kind, (0, 0, 0))
            totals[kind] = (a + numbers[0], b + numbers[1], c + numbers[2])
    if not words:
        raise ValueError("there is no word to score")
    shared, said, gold = (sum(total[i] for total in totals.values()) for i in range(3))
    scores = {
        "f1": _f1(shared, said, gold),
        "precision": shared / said if said else 0.0,
        "recall": shared / gold if gold else 0.0,
        "accuracy": right / words,
    }
    return scores | {f"f1_{kind}": _f1(*totals[kind]) for kind in sorted(totals)}


def _f1(shared: int, said: int, gold: int) -> float:
    return 2 * shared / (said + gold) if shared else 0.0
