"""Bits per character, as the Longformer paper evaluates: each character with a long context, in memory that stays flat.

The paper (section 4.2.3) reads overlapping sequences of 32,256 characters, each 512 further on, and scores the last 512
of each. A sequence is read here in pieces through the rolling cache, so no sequence is ever in memory. Where the
windows of all layers together reach no further than a sequence's context, reading the text once, without a break, gives
the same scores in a fraction of the time: :func:`reach` says whether they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from longspan.charlm.texts import VOCABULARY, Text
from longspan.models.longformer import LongformerConfig, LongformerForCausalLM

LENGTH, STEP = 32_256, 512
"""The paper's."""

_PIECE = 2048
"""Characters that are read at once."""


@dataclass(frozen=True)
class Sequence:
    """Characters ``start`` to ``stop`` are read; those that follow the characters ``first`` to ``stop`` are scored."""

    start: int
    first: int
    stop: int


def evaluate(
    model: LongformerForCausalLM,
    text: Text,
    *,
    length: int | None = LENGTH,
    step: int = STEP,
    skip: int = 0,
    limit: int = 0,
    on_characters: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Bits per character of a text; the model is left in evaluation mode.

    Args:
        model: scored.
        text: (n,) characters; the first one is only read.
        length: characters of a sequence; None for one sequence, the whole text, whatever its length.
        step: scored at the end of each sequence. The first sequence is scored from ``skip`` on.
        skip: characters at the beginning that are only context, so that other lengths score the same characters.
        limit: most characters that are scored; 0 for all.
        on_characters: told how many are scored, and of how many.

    Returns:
        ``bits_per_character``, ``characters`` (scored), ``length``, ``step``, ``reach`` of the model, and ``passes``:
        how often a character was read, about 1 where one pass gives the same scores.

    Raises:
        ValueError: an argument is out of its range, or the model is not one of characters.
    """
    _check(model, text, length, step, skip, limit)
    scored = len(text) - 1 - skip
    if limit:
        scored = min(scored, limit)
    far = reach(model.config)
    stop = skip + scored
    if length is None or far <= length - step:
        sequences = iter([Sequence(max(0, skip - far), skip, stop)])
    else:
        sequences = list_sequences(skip, stop, length, step)
    model.eval()
    total, done, read = 0.0, 0, 0
    with torch.inference_mode():
        for sequence in sequences:
            for loss, count in _score(model, text, sequence):
                total, done = total + loss, done + count
                if on_characters is not None:
                    on_characters(done, scored)
            read += sequence.stop - sequence.start
    return {
        "bits_per_character": total / done / math.log(2),
        "characters": done,
        "length": length,
        "step": step,
        "reach": far,
        "passes": read / done,
    }


def reach(config: LongformerConfig) -> int:
    """How many characters before itself can change what is predicted after a character."""
    return sum(window // 2 * max(dilation) for window, dilation in zip(config.windows, config.dilations, strict=True))


def list_sequences(skip: int, stop: int, length: int, step: int) -> Iterator[Sequence]:
    """The sequences whose scored characters are those from ``skip`` to ``stop``, each once."""
    first = skip
    while first < stop:
        # nothing has a longer context than at the beginning of the text: the first sequence is scored whole
        end = min(stop, length if first == 0 else first + step)
        yield Sequence(max(0, end - length), first, end)
        first = end


def _score(model: LongformerForCausalLM, text: Text, sequence: Sequence) -> Iterator[tuple[float, int]]:
    """Summed loss in nats and number of characters, piece by piece."""
    cache = model.new_cache()
    start = sequence.start
    while start < sequence.stop:
        stop = min(start + _PIECE, sequence.stop, sequence.first if start < sequence.first else sequence.stop)
        ids = _ids(text[start:stop], model)
        if stop <= sequence.first:
            model(ids, past_key_values=cache, logits_to_keep=1)
        else:
            logits = model(ids, past_key_values=cache).logits[0].float()
            targets = _ids(text[start + 1 : stop + 1], model)[0]
            yield float(nn.functional.cross_entropy(logits, targets, reduction="sum").double()), stop - start
        start = stop


def _ids(text: Text, model: LongformerForCausalLM) -> Tensor:
    return torch.from_numpy(text.astype(np.int64))[None].to(model.device)


def _check(model: LongformerForCausalLM, text: Text, length: int | None, step: int, skip: int, limit: int) -> None:
    if model.config.vocab_size != VOCABULARY:
        raise ValueError(f"the model must predict {VOCABULARY} characters, got one of {model.config.vocab_size} tokens")
    if step < 1 or (length is not None and length < step):
        raise ValueError(f"step must be at least 1 and at most length, got step {step} and length {length}")
    if limit < 0 or skip < 0:
        raise ValueError(f"skip and limit must not be negative, got {skip} and {limit}")
    if len(text) - 1 <= skip:
        raise ValueError(f"a text of {len(text):,} characters leaves none to score after skip = {skip:,}")
