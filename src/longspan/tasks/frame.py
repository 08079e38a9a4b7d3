"""The special tokens around a single text, and how much room they leave in a window."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from longspan.tasks.task import Encoding


class Frame(NamedTuple):
    """Special tokens before and after a text, and how many tokens have room between them; None for any number."""

    before: list[int]
    after: list[int]
    room: int | None


def frame_for(encoding: Encoding) -> Frame:
    """The frame of a single text.

    Raises:
        ValueError: ``max_length`` leaves no room for a token.
    """
    before, after = special_tokens(encoding.tokenizer)
    if encoding.max_length is None:
        return Frame(before, after, None)
    special = len(before) + len(after)
    if encoding.max_length <= special:
        raise ValueError(
            f"max_length must be at least {special + 1}, so that a token has room beside {special} special ones, got "
            f"{encoding.max_length}"
        )
    return Frame(before, after, encoding.max_length - special)


@lru_cache(maxsize=8)
def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a single text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ordinary = [i for i, special in enumerate(encoded["special_tokens_mask"]) if not special]
    return encoded["input_ids"][: ordinary[0]], encoded["input_ids"][ordinary[-1] + 1 :]
