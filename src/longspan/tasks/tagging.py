"""Tagging words: named entities and their like, scored by whole entities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longspan.tasks.conll import OUTSIDE, find_entities, read_tagged
from longspan.tasks.entity_scores import TagCounts, count_tags, score_tags
from longspan.tasks.examples import BadRow, TaggedExample
from longspan.tasks.frame import frame_for
from longspan.tasks.logits import NO_TARGET, softmax
from longspan.tasks.padding import mask_padding, pad_rows
from longspan.tasks.task import Encoding, Features, Prediction, Task
from longspan.tasks.windows import make_windows, share_tokens

if TYPE_CHECKING:
    from torch import Tensor


class Tag(Task[TaggedExample]):
    """Give each word a tag.

    The text is encoded as it stands, and a word is tagged at the first token that holds a part of it. A document longer
    than the model is read in overlapping windows; each word is tagged in the window that sees most around its token.

    Args:
        labels: the tags that the model knows; None to take them from the training data.
    """

    name: ClassVar[str] = "tag"
    head: ClassVar[str] = "ForTokenClassification"
    metric = "f1"

    def __init__(self, labels: Sequence[str] | None = None) -> None:
        if labels is not None and len(set(labels)) < len(labels):
            raise ValueError(f"labels must differ, got {', '.join(labels)}")
        self.labels = tuple(labels or ())

    def options(self) -> dict[str, Any]:
        """The labels."""
        return {"labels": list(self.labels)}

    def read(self, path: str, layout: str | None = None) -> Iterator[TaggedExample | BadRow]:
        """The sentences of a CoNLL file, or rows {tokens, tags} or {text, spans}; see :mod:`longspan.tasks.conll`."""
        return read_tagged(path, layout)

    def learn(self, examples: Iterable[TaggedExample]) -> None:
        """Take the kinds of entities from the examples; each gets all marks (``B-``, ``I-``, ...) that occur at all.

        Raises:
            ValueError: no example has tags.
        """
        found = {tag for example in examples for tag in example.tags or ()}
        if not found:
            raise ValueError("no example has tags, so there is nothing to learn from")
        found.discard(OUTSIDE)
        kinds, marks = sorted({tag[2:] for tag in found}), sorted({tag[0] for tag in found})
        self.labels = (OUTSIDE, *(f"{mark}-{kind}" for kind in kinds for mark in marks))

    def settings(self) -> dict[str, Any]:
        """``id2label``, ``label2id``, ``problem_type``."""
        return {
            "id2label": dict(enumerate(self.labels)),
            "label2id": {label: i for i, label in enumerate(self.labels)},
            "problem_type": "single_label_classification",
        }

    def encode(self, example: TaggedExample, encoding: Encoding, training: bool) -> list[Features] | BadRow:
        """The windows: with ``labels`` in training, else with ``words``, those it tags, and ``places``, their tokens.

        A word without a token of its own (a control character, a part of a sign) is in no window.
        """
        if training and example.tags is None:
            return BadRow(example.source, "there are no tags to learn from")
        numbers = {label: i for i, label in enumerate(self.labels)}
        unknown = next((tag for tag in example.tags or () if tag not in numbers), None)
        if unknown is not None:
            return BadRow(example.source, f"the tag {unknown!r} is none of the model's: {', '.join(self.labels)}")
        before, after, room = frame_for(encoding)
        tokens = encoding.tokenizer(
            example.text, add_special_tokens=False, truncation=False, verbose=False, return_offsets_mapping=True
        )
        ids = tokens["input_ids"]
        heads = find_first_tokens(tokens["offset_mapping"], example.offsets)
        windows = make_windows(len(ids), room, encoding.stride)
        features = []
        for (start, end), (first, last) in zip(windows, share_tokens(windows), strict=True):
            words = [w for w, token in heads.items() if first <= token < last]
            places = [heads[w] - start + len(before) for w in words]
            window: Features = {"input_ids": [*before, *ids[start:end], *after]}
            if training:
                assert example.tags is not None
                window["labels"] = [NO_TARGET] * len(window["input_ids"])
                for w, place in zip(words, places, strict=True):
                    window["labels"][place] = numbers[example.tags[w]]
            else:
                window |= {"words": words, "places": places}
            features.append(window)
        return features

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` and, in training, ``labels``, each (B, N) int64."""
        rows = [window["input_ids"] for window in features]
        batch = {
            "input_ids": pad_rows(rows, encoding.tokenizer.pad_token_id or 0),
            "attention_mask": mask_padding([len(row) for row in rows]),
        }
        if all("labels" in window for window in features):
            batch["labels"] = pad_rows([window["labels"] for window in features], NO_TARGET)
        return batch

    def decode(
        self, example: TaggedExample, features: Sequence[Features], outputs: Sequence[Mapping[str, np.ndarray]]
    ) -> Prediction:
        """``tags``, one a word, and ``entities`` with label, start, end, text and score.

        A score is the mean probability of the entity's tags. A word that no window tags gets ``O``, but ``I-``
        inside an entity.
        """
        chosen: dict[int, tuple[str, float]] = {}
        for window, output in zip(features, outputs, strict=True):
            logits = output["logits"][np.asarray(window["places"], dtype=np.int64)].astype(np.float64)
            for w, row in zip(window["words"], softmax(logits), strict=True):
                best = int(row.argmax())
                chosen[w] = (self.labels[best], float(row[best]))
        tags = _fill_gaps([chosen[w][0] if w in chosen else None for w in range(len(example.offsets))])
        entities = []
        for kind, first, last in find_entities(tags):
            start, end = example.offsets[first][0], example.offsets[last][1]
            scores = [chosen[w][1] for w in range(first, last + 1) if w in chosen]
            entities.append(
                {
                    "label": kind,
                    "start": start,
                    "end": end,
                    "text": example.text[start:end],
                    "score": round(sum(scores) / len(scores), 4),
                }
            )
        return {"id": example.id, "tags": tags, "entities": entities}

    def record(self, example: TaggedExample, prediction: Prediction) -> TagCounts:
        """Counts of words and of entities."""
        if example.tags is None:
            raise ValueError(f"{example.source}: there are no tags to score against")
        return count_tags(example.tags, prediction["tags"])

    def score_records(self, records: Sequence[TagCounts]) -> dict[str, float]:
        """Micro ``precision``, ``recall`` and ``f1`` over entities, ``accuracy`` over words, and ``f1_KIND``."""
        return score_tags(records)


def find_first_tokens(tokens: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Word -> its first token: the first that holds one of its characters and is not the first of a word before it.

    Args:
        tokens: (start, end) of each token, in order; empty ones hold nothing.
        words: (start, end) of each word, in order, none over another.
    """
    found: dict[int, int] = {}
    w = 0
    for token, (start, end) in enumerate(tokens):
        while w < len(words) and words[w][1] <= start:
            w += 1
        # The word may have its token already; then this one may still hold the beginning of the next.
        candidates = (v for v in range(w, len(words)) if v not in found)
        v = next(candidates, None)
        if v is not None and words[v][0] < end and start < words[v][1] and start < end:
            found[v] = token
    return found


def _fill_gaps(tags: Sequence[str | None]) -> list[str]:
    """``I-`` for a missing tag between two of one entity, ``O`` for the others."""
    following = [OUTSIDE]
    for tag in reversed(tags):
        following.append(following[-1] if tag is None else tag)
    filled: list[str] = []
    before = OUTSIDE
    for tag, after in zip(tags, following[:0:-1], strict=True):
        if tag is None:
            inside = before[0] in "BI" and after[0] in "IE" and before[2:] == after[2:]
            tag = f"I-{before[2:]}" if inside else OUTSIDE
        filled.append(tag)
        before = tag
    return filled
