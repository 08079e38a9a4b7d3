"""Choosing among candidates by reading many documents: the task ``wikihop``, as the Longformer paper does it.

A row is ``<s> [q] question [/q] [ent] candidate [/ent] ... </s> document </s> document ... </s>``. Question and
candidates are global tokens, and are never cut: documents for which there is no room are read in further parts, each
behind the same question and candidates. The parts of a question stand in one row, as segments that do not see each
other. The model gives each ``[ent]`` one number (a token classifier with one label); a candidate's score is the mean of
its numbers over the parts, and the loss is the cross entropy over the candidates.

Source: Beltagy, Peters, Cohan: Longformer, 2020, section 6 and appendix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longspan.tasks.examples import BadRow, ChoiceExample, DataError
from longspan.tasks.layouts.wikihop import read_wikihop
from longspan.tasks.logits import NO_TARGET, softmax
from longspan.tasks.padding import mask_padding, pad_rows
from longspan.tasks.task import Encoding, Features, Prediction, Task
from longspan.tasks.windows import make_windows

if TYPE_CHECKING:
    from torch import Tensor

MARKERS = ("[q]", "[/q]", "[ent]", "[/ent]")
"""Special tokens around the question and around each candidate."""


class WikiHop(Task[ChoiceExample]):
    """Choose the candidate that answers a question over many documents. It has no options."""

    name: ClassVar[str] = "wikihop"
    head: ClassVar[str] = "ForTokenClassification"
    metric = "accuracy"
    targets = ("candidates", "label")
    special_tokens = MARKERS

    def options(self) -> dict[str, Any]:
        return {}

    def settings(self) -> dict[str, Any]:
        return {"num_labels": 1}

    def read(self, path: str, layout: str | None = None) -> Iterator[ChoiceExample | BadRow]:
        """The questions of a file in WikiHop's layout, the only one."""
        if layout not in (None, "wikihop"):
            raise DataError(f"{path}: there is no layout {layout!r} for this task; there is wikihop")
        yield from read_wikihop(path)

    def encode(self, example: ChoiceExample, encoding: Encoding, training: bool) -> list[Features] | BadRow:
        """One row, with all parts.

        Raises:
            ValueError: the tokenizer lacks ``special_tokens`` or a class or separator token.
        """
        if example.label is None and training:
            return BadRow(example.source, "there is no answer to learn")
        if example.label is not None and not 0 <= example.label < len(example.choices):
            return BadRow(example.source, f"the label {example.label} is none of {len(example.choices)} candidates")
        cls, sep, *markers = self._special_ids(encoding.tokenizer)
        question, question_end, candidate, candidate_end = markers
        # A space before each text: a name shall be the same tokens here and inside a sentence.
        texts = [f" {text.strip()}" for text in (example.prompt, *example.choices, *example.supports)]
        ids = encoding.tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        asked, *others = ids
        front, places = [cls, question, *asked, question_end], []
        for tokens in others[: len(example.choices)]:
            places.append(len(front))
            front += [candidate, *tokens, candidate_end]
        documents = [token for tokens in others[len(example.choices) :] for token in (sep, *tokens)]
        room = None
        if encoding.max_length is not None:
            room = encoding.max_length - len(front) - 1
            if room < min(len(documents), 1):
                return BadRow(
                    example.source,
                    f"the question and its {len(places)} candidates take {len(front) + 1} tokens, of the "
                    f"{encoding.max_length} that the model reads at once; candidates are never cut",
                )
        rows = [[*front, *documents[a:b], sep] for a, b in make_windows(len(documents), room or None, 0)]
        return [
            {
                "input_ids": [token for row in rows for token in row],
                "parts": [len(row) for row in rows],
                "front": len(front),
                "places": places,
                "label": NO_TARGET if example.label is None else example.label,
            }
        ]

    def _special_ids(self, tokenizer: Any) -> list[int]:
        """Ids of the class token, the separator and the markers."""
        ids = [tokenizer.cls_token_id, tokenizer.sep_token_id]
        if None in ids:
            raise ValueError("the tokenizer must have a class token and a separator")
        for marker in MARKERS:
            ids.append(tokenizer.convert_tokens_to_ids(marker))
            if ids[-1] is None or tokenizer.convert_ids_to_tokens(ids[-1]) != marker:
                raise ValueError(
                    f"the tokenizer has no token {marker}: add {', '.join(MARKERS)} as special tokens, and resize the "
                    "model's embeddings"
                )
        return ids

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        """The row with ``segment_ids``; ``candidates`` (B, P, C) are the places of C markers in P parts, else -1."""
        import torch

        pad = encoding.tokenizer.pad_token_id
        ids = [row["input_ids"] for row in features]
        batch = {
            "input_ids": pad_rows(ids, 0 if pad is None else pad),
            "attention_mask": mask_padding([*map(len, ids)]),
        }
        numbers = [np.repeat(np.arange(len(row["parts"])), row["parts"]) for row in features]
        batch["segment_ids"] = pad_rows(numbers, -1)
        if encoding.family == "longformer":
            fronts = [np.concatenate([np.arange(n) < row["front"] for n in row["parts"]]) for row in features]
            batch["global_attention_mask"] = pad_rows(fronts, 0)
        places = [_places(row) for row in features]
        parts, most = (max(x.shape[i] for x in places) for i in (0, 1))
        batch["candidates"] = torch.full((len(features), parts, most), -1)
        for i, x in enumerate(places):
            batch["candidates"][i, : x.shape[0], : x.shape[1]] = torch.from_numpy(x)
        batch["label"] = torch.tensor([row["label"] for row in features])
        return batch

    def count_targets(self, batch: Mapping[str, Tensor]) -> int:
        return int((batch["label"] >= 0).sum())

    def loss(self, outputs: Any, batch: Mapping[str, Tensor], num_items_in_batch: Any = None) -> Tensor:
        """Cross entropy over the candidates."""
        import torch
        from torch.nn.functional import cross_entropy

        scores = score_candidates(outputs.logits, batch["candidates"])
        total = cross_entropy(scores, batch["label"], ignore_index=NO_TARGET, reduction="sum")
        count = self.count_targets(batch) if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(count, device=total.device).clamp(min=1)

    def decode(
        self, example: ChoiceExample, features: Sequence[Features], outputs: Sequence[Mapping[str, np.ndarray]]
    ) -> Prediction:
        """``choice``, the number of the best candidate, its ``text``, and all candidates' ``probabilities``."""
        scores = outputs[0]["logits"][_places(features[0]), 0].astype(np.float64).mean(0)
        choice = int(scores.argmax())
        return {
            "id": example.id,
            "choice": choice,
            "text": example.choices[choice],
            "probabilities": softmax(scores).tolist(),
        }

    def record(self, example: ChoiceExample, prediction: Prediction) -> bool:
        """Whether the choice is right."""
        if example.label is None:
            raise ValueError(f"{example.source}: there is no gold answer")
        return bool(example.label == prediction["choice"])

    def score_records(self, records: Sequence[bool]) -> dict[str, float]:
        """``accuracy``, 0 to 1."""
        if not records:
            raise ValueError("there is no example to score")
        return {"accuracy": sum(records) / len(records)}


def score_candidates(logits: Tensor, candidates: Tensor) -> Tensor:
    """Scores (B, C) of the candidates, in at least float32: means over the parts; the lowest number for none.

    Args:
        logits: (B, N, 1).
        candidates: (B, P, C) places of the markers, negative for none.
    """
    import torch

    logits = logits.squeeze(-1).to(torch.promote_types(logits.dtype, torch.float32))
    there = candidates >= 0
    numbers = logits.gather(1, candidates.clamp(min=0).flatten(1)).view(candidates.shape)
    means = numbers.masked_fill(~there, 0).sum(1) / there.sum(1).clamp(min=1)
    return means.masked_fill(~there.any(1), torch.finfo(means.dtype).min)


def _places(row: Features) -> np.ndarray:
    """(P, C) places of each candidate's marker in each part of a row."""
    parts = np.asarray(row["parts"])
    return (np.cumsum(parts) - parts)[:, None] + np.asarray(row["places"])[None]
