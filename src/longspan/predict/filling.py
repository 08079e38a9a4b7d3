"""The gaps of a text: what a masked language model would write there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longspan.predict.loading import Checkpoint
from longspan.predict.loop import BATCH_TOKENS, OnBatch, run
from longspan.predict.predictions import as_loaded
from longspan.predict.tokens import around, collate_ids, tokenize
from longspan.tasks.padding import pad_rows
from longspan.tasks.task import Encoding, Features

if TYPE_CHECKING:
    from torch import Tensor

MASK = "<mask>"
"""What marks a gap in any text; the tokenizer's own mask token does as well."""


@dataclass(frozen=True)
class Candidate:
    """What may stand in a gap.

    Attributes:
        text: the token as text, without white space at its ends.
        token: the entry of the vocabulary.
        score: its probability.
    """

    text: str
    token: str
    score: float


@dataclass(frozen=True)
class Gap:
    """A mask in a text.

    Attributes:
        start, end: code points; ``text[start:end]`` is the mask.
        candidates: the likeliest tokens, the best first.
    """

    start: int
    end: int
    candidates: tuple[Candidate, ...]


def fill(
    checkpoint: str | Path | Checkpoint,
    text: str,
    *,
    top_k: int = 5,
    device: str | None = None,
    max_length: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: OnBatch | None = None,
) -> list[Gap]:
    """Say what may stand in each gap of a text.

    A text that the model cannot read at once is read in windows as long as the model reads, around the gaps: at least
    a quarter of a window stands on each side of a gap, as far as the text goes. All gaps of a window stay masked.

    Args:
        checkpoint: folder or hub id of a masked language model, or one that is loaded.
        text: holds ``<mask>``, or the tokenizer's own mask token, wherever something is to be filled in.
        top_k: candidates of each gap.
        device, max_length: as in :func:`longspan.predict.load`; not for a loaded checkpoint.
        batch_tokens: tokens of one batch, padding included.
        on_batch: called with the number of windows after each batch.

    Returns:
        The gaps in the order of the text.

    Raises:
        TypeError: ``text`` is no string.
        ValueError: it has no gap, ``top_k`` does not fit the vocabulary, or the checkpoint is no masked language model.
        OSError: a file of the checkpoint is missing.
    """
    loaded = as_loaded(checkpoint, device, max_length, task="mlm")
    tokenizer, model = loaded.encoding.tokenizer, loaded.model
    if not 1 <= top_k <= model.config.vocab_size:
        raise ValueError(f"top_k must be from 1 to {model.config.vocab_size}, the vocabulary's size, got {top_k}")
    marks, features = _read(text, loaded.encoding)
    task = _Fill(model.lm_head if hasattr(model, "lm_head") else model.cls, top_k)
    gaps: list[Gap] = []
    windows = run(task, model.base_model, ([window] for window in features), loaded.encoding, batch_tokens, on_batch)
    for window, (outputs,) in zip(features, windows, strict=True):
        for i in range(len(window["gaps"])):
            best = zip(outputs["ids"][i].tolist(), outputs["scores"][i].tolist(), strict=True)
            found = tuple(_candidate(tokenizer, token, score) for token, score in best)
            gaps.append(Gap(*marks[len(gaps)], found))
    return gaps


class _Fill:
    """Keeps the best tokens of each gap; the head runs on the gaps alone, since scores of every token are large."""

    head = "Model"
    targets = ("gaps",)

    def __init__(self, scores: Any, top_k: int) -> None:
        self.scores, self.top_k = scores, top_k

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        batch = collate_ids([window["input_ids"] for window in features], encoding)
        return {**batch, "gaps": pad_rows([window["gaps"] for window in features], 0)}

    def pick(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        gaps, hidden = batch["gaps"], outputs.last_hidden_state
        chosen = hidden.gather(1, gaps[:, :, None].expand(-1, -1, hidden.shape[-1]))
        best = self.scores(chosen).float().softmax(-1).topk(self.top_k)
        return {"scores": best.values, "ids": best.indices}


def _read(text: str, encoding: Encoding) -> tuple[list[tuple[int, int]], list[Features]]:
    """Where the gaps are in the text, and the windows to run, which hold the gaps in the same order."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {type(text).__name__}")
    own = encoding.tokenizer.mask_token
    if own is None:
        raise ValueError("the checkpoint's tokenizer has no mask token")
    pattern = re.compile("|".join(map(re.escape, {MASK, own})))
    marks = [match.span() for match in pattern.finditer(text)]
    if not marks:
        raise ValueError(f"the text holds no {MASK}: write it wherever something is to be filled in")
    tokens = tokenize(pattern.sub(lambda _: own, text), encoding)
    places = [i for i, token in enumerate(tokens.ids) if token == encoding.tokenizer.mask_token_id]
    if len(places) != len(marks):
        raise ValueError(f"the tokenizer reads {len(places)} masks in a text with {len(marks)}")
    n = len(tokens.ids)
    width = tokens.frame.room or n
    features = [
        {
            "input_ids": tokens.window(start, start + width),
            "gaps": [len(tokens.frame.before) + place - start for place in inside],
        }
        for start, inside in around(places, n, width)
    ]
    return marks, features


def _candidate(tokenizer: Any, token: int, score: float) -> Candidate:
    return Candidate(tokenizer.decode([token]).strip(), tokenizer.convert_ids_to_tokens(token), score)
