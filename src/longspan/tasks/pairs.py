"""One text or two as the model reads them, in windows of the longer one where they are too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longspan.tasks.padding import pad_rows
from longspan.tasks.task import Encoding
from longspan.tasks.windows import make_windows

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Encoded:
    """A text or a pair, encoded whole.

    Attributes:
        columns: the model's arguments, a value for each token.
        sequences: for each token 0 or 1, the text it is of; None for a special token.
    """

    columns: dict[str, list[int]]
    sequences: list[int | None]

    def __len__(self) -> int:
        return len(self.sequences)

    def span(self, sequence: int) -> tuple[int, int]:
        """First token of a text and last token + 1; (0, 0) where it has no token."""
        places = [i for i, s in enumerate(self.sequences) if s == sequence]
        return (places[0], places[-1] + 1) if places else (0, 0)

    def window(self, span: tuple[int, int], start: int, end: int) -> dict[str, list[int]]:
        """The columns with only the tokens ``start`` to ``end`` (excluded) of the text at ``span``, and the rest."""
        first, last = span
        return {
            name: values[:first] + values[first + start : first + end] + values[last:]
            for name, values in self.columns.items()
        }


def encode_pair(tokenizer: Any, text: str, text_pair: str | None = None) -> Encoded:
    """A text or two with their special tokens, nothing cut."""
    # Not verbose: a tokenizer warns of texts that are longer than its model, which are cut into windows later.
    encoded = tokenizer(text, text_pair, truncation=False, padding=False, return_attention_mask=True, verbose=False)
    columns = {
        name: list(encoded[name]) for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoded
    }
    return Encoded(columns, list(encoded.sequence_ids(0)))


def cut(size: int, rest: int, encoding: Encoding) -> list[tuple[int, int]]:
    """First token and last token + 1 of each window of a text.

    Args:
        size: tokens of the text.
        rest: tokens that every window holds besides.
        encoding: the length of a window and what neighbours share.

    Raises:
        ValueError: the rest leaves too little room.
    """
    if encoding.max_length is None or rest + size <= encoding.max_length:
        return [(0, size)]
    room = encoding.max_length - rest
    if room <= encoding.stride:
        raise ValueError(
            f"windows of {encoding.max_length} tokens have no room for {rest} tokens that belong into each of them and "
            f"more than the {encoding.stride} that neighbours share"
        )
    return make_windows(size, room, encoding.stride)


def pad_columns(rows: Sequence[dict[str, Any]], tokenizer: Any) -> dict[str, Tensor]:
    """Columns of several rows as (B, N) int64 tensors, the shorter ones padded at their ends."""
    padding = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
    names = ("input_ids", "attention_mask", "token_type_ids", "global_attention_mask")
    return {name: pad_rows([r[name] for r in rows], padding.get(name, 0)) for name in names if name in rows[0]}
