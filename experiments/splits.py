"""Parts of a data set drawn by a seed: the same wherever and whenever they are drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def split(items: Sequence[Item], validation: int, test: int, seed: str) -> tuple[list[Item], list[Item], list[Item]]:
    """Training, validation and test items, each in the order of ``items``.

    Args:
        items: what is divided.
        validation, test: how many items these parts have; the others are for training.
        seed: of the draw. A text, so that two data sets do not share their draws.

    Raises:
        ValueError: nothing is left for training.
    """
    if not 0 <= validation + test < len(items):
        raise ValueError(f"validation {validation} and test {test} leave nothing of {len(items)} items for training")
    places = list(range(len(items)))
    random.Random(seed).shuffle(places)
    chosen = places[validation + test :], places[:validation], places[validation : validation + test]
    train, held, asked = ([items[place] for place in sorted(part)] for part in chosen)
    return train, held, asked
