"""One text as tokens, and which windows of it are read for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longspan.tasks.frame import Frame, frame_for
from longspan.tasks.padding import mask_padding, pad_rows
from longspan.tasks.task import Encoding

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text, and the special tokens that stand around every window of them.

    Attributes:
        ids: the text's own tokens.
        frame: the special tokens, and how many of the text's have room between them.
    """

    ids: list[int]
    frame: Frame

    def window(self, start: int, end: int) -> list[int]:
        """Ids of the window from token ``start`` to ``end`` - 1."""
        return [*self.frame.before, *self.ids[start:end], *self.frame.after]


def tokenize(text: str, encoding: Encoding) -> Tokens:
    """The tokens of a text, none left out.

    Raises:
        TypeError: ``text`` is no string.
        ValueError: ``max_length`` leaves no room for a token.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {type(text).__name__}")
    frame = frame_for(encoding)
    ids = encoding.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    return Tokens(ids, frame)


def around(places: Sequence[int], n: int, width: int) -> list[tuple[int, list[int]]]:
    """Windows of ``width`` tokens over ``n`` around places: (start, the places it serves).

    Every place has at least a quarter of the window, rounded down, on each side, as far as there are tokens; places
    near each other share a window.

    Args:
        places: ascending.
        n, width: numbers of tokens.
    """
    last = max(n - width, 0)
    found: list[tuple[int, list[int]]] = []
    for place in places:
        start = min(max(place - width // 2, 0), last)
        if found and (start == found[-1][0] or place <= found[-1][0] + width - 1 - width // 4):
            found[-1][1].append(place)
        else:
            found.append((start, [place]))
    return found


def collate_ids(rows: Sequence[Sequence[int]], encoding: Encoding) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` (B, N) int64 of a batch, padded on the right."""
    ids = pad_rows(rows, encoding.tokenizer.pad_token_id or 0)
    return {"input_ids": ids, "attention_mask": mask_padding([len(row) for row in rows])}
