"""RoBERTa's masking: which tokens a masked language model has to predict, and what it sees in their places.

15 % of the tokens are chosen. Of these, 80 % become the mask token, 10 % a random ordinary token, and 10 % stay what
they are; all of them are predicted. With whole words, 15 % of the words are chosen, so that each token is still chosen
with a probability of 15 %, and all tokens of a word share its fate. Special tokens are neither chosen nor put in
another's place.

Sources: Liu et al., RoBERTa (2019), sections 3 and 4.1; Devlin et al., BERT (2018), section 3.1. As in RoBERTa's code,
the number of chosen units of a row is rounded at random, so that 15 % also holds for short rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from longspan.tasks.logits import NO_TARGET

CHOSEN = 0.15
"""Share of the tokens, or words, that are to be predicted."""

MASKED = 0.8
"""Share of the chosen that the mask token replaces."""

SWAPPED = 0.1
"""Share of the chosen that a random token replaces; the rest stay."""


@dataclass(frozen=True)
class Masking:
    """What masking needs to know of a vocabulary.

    Attributes:
        mask_id: id of the mask token.
        special: ids of special tokens, sorted.
        ordinary: all other ids, sorted.
    """

    mask_id: int
    special: np.ndarray
    ordinary: np.ndarray

    def maskable(self, ids: np.ndarray) -> np.ndarray:
        """Which of ``ids`` may be chosen, as bool."""
        return np.isin(ids, self.special, invert=True)

    def __call__(
        self, ids: np.ndarray, generator: np.random.Generator, words: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mask one row.

        Args:
            ids: (N,) token ids, int64.
            generator: decides; the same state gives the same masks.
            words: (N,) number of each token's word, for whole words; neighbours with the same number are one word.
                None to choose tokens.

        Returns:
            (N,) what the model sees, and (N,) its labels: the token where it was chosen, else ``NO_TARGET``.
        """
        places = np.flatnonzero(self.maskable(ids))
        unit = np.arange(len(places)) if words is None else _number_words(places, words)
        units = int(unit[-1]) + 1 if len(unit) else 0
        chosen = np.zeros(units, dtype=bool)
        count = int(CHOSEN * units + generator.random())
        chosen[generator.choice(units, count, replace=False)] = True
        fate = generator.random(units)
        targets, fates = places[chosen[unit]], fate[unit][chosen[unit]]

        labels = np.full(len(ids), NO_TARGET, dtype=np.int64)
        labels[targets] = ids[targets]
        seen = ids.copy()
        seen[targets[fates < MASKED]] = self.mask_id
        swapped = targets[(fates >= MASKED) & (fates < MASKED + SWAPPED)]
        seen[swapped] = generator.choice(self.ordinary, len(swapped))
        return seen, labels


@lru_cache(maxsize=8)
def masking_for(tokenizer: Any) -> Masking:
    """The masking of a tokenizer's vocabulary.

    Raises:
        ValueError: it has no mask token, or nothing but special tokens.
    """
    if tokenizer.mask_token_id is None:
        raise ValueError(f"the tokenizer {tokenizer.name_or_path!r} has no mask token")
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = added | set(tokenizer.all_special_ids)
    ordinary = set(tokenizer.get_vocab().values()) - special
    if not ordinary:
        raise ValueError(f"the tokenizer {tokenizer.name_or_path!r} has special tokens only")
    return Masking(tokenizer.mask_token_id, np.array(sorted(special)), np.array(sorted(ordinary)))


def _number_words(places: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Numbers from 0 for the words at ``places``; a special token between parts two words of the same number."""
    numbers = words[places]
    begins = np.ones(len(places), dtype=bool)
    begins[1:] = (numbers[1:] != numbers[:-1]) | (np.diff(places) > 1)
    return np.cumsum(begins) - 1
