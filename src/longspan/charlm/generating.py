"""Text that goes on: characters one at a time, through the rolling cache, in constant memory and time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from longspan.charlm.texts import VOCABULARY
from longspan.models.longformer import LongformerForCausalLM

_PIECE = 2048
"""Characters of the prompt that are read at once."""


def generate(
    model: LongformerForCausalLM,
    prompt: bytes,
    characters: int | None = None,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
) -> Iterator[int]:
    """The characters that follow a prompt, as bytes.

    Args:
        model: left in evaluation mode.
        prompt: at least one character.
        characters: how many; None to go on for ever.
        temperature: scores are divided by it; 0 takes the likeliest character.
        top_k: only the likeliest so many are drawn; 0 for any.
        seed: of the draws.

    Raises:
        ValueError: an argument is out of its range, or the model is not one of characters.
    """
    if model.config.vocab_size != VOCABULARY:
        raise ValueError(f"the model must predict {VOCABULARY} characters, got one of {model.config.vocab_size} tokens")
    if not prompt:
        raise ValueError("prompt must have at least one character, got none")
    if characters is not None and characters < 0:
        raise ValueError(f"characters must not be negative, got {characters}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be a number of at least 0, got {temperature}")
    if not 0 <= top_k <= VOCABULARY:
        raise ValueError(f"top_k must be 0 to {VOCABULARY}, got {top_k}")
    return _generate(model.eval(), prompt, characters, temperature, top_k, seed)


def _generate(
    model: LongformerForCausalLM, prompt: bytes, characters: int | None, temperature: float, top_k: int, seed: int
) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)
    cache = model.new_cache()
    ids = torch.tensor([list(prompt)])
    done = 0
    while characters is None or done < characters:
        with torch.inference_mode():
            for piece in ids.split(_PIECE, 1):
                logits = model(piece.to(model.device), past_key_values=cache, logits_to_keep=1).logits
        character = _choose(logits[0, -1].float().cpu(), temperature, top_k, generator)
        yield character
        ids = torch.tensor([[character]])
        done += 1


def _choose(scores: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(scores.argmax())
    if top_k:
        least = scores.topk(top_k).values[-1]
        scores = scores.masked_fill(scores < least, -math.inf)
    # the largest score is 0: a small temperature overflows nowhere
    chances = ((scores - scores.max()) / temperature).softmax(-1)
    return int(torch.multinomial(chances, 1, generator=generator))
