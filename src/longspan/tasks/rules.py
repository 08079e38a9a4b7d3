"""Decoding rules: how the passages of one category are read off token probabilities, and their file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

UNITS = ("tokens", "snap", "sentences")


@dataclass(frozen=True)
class Rule:
    """How one category is read off the probabilities.

    unit: ``tokens`` takes runs of likely tokens as they are; ``snap`` moves their ends to the edges of sentences close
        by; ``sentences`` judges whole sentences by their mean probability and joins neighbours.
    threshold: least score of a passage (mean probability of its tokens).
    extend: least probability of a token inside a run (``tokens`` and ``snap``), as a fraction of the threshold.
    gap: unlikely tokens (``tokens`` and ``snap``) or 0 (``sentences``) that a run may bridge.
    split: probability of ``B-X`` from which a new passage begins inside a run; None never splits there.
    join: whether neighbouring sentences make one passage (``sentences``).
    limit: most passages of a document; None for any number.
    earliest: whether `limit` keeps the earliest passages instead of the best ones.
    """

    unit: str = "tokens"
    threshold: float = 0.5
    extend: float = 1.0
    gap: int = 1
    split: float | None = 0.5
    join: bool = True
    limit: int | None = None
    earliest: bool = False

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {self.unit!r}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be between 0 and 1, got {self.threshold!r}")


DEFAULT_RULE = Rule()


def load_rules(path: str | os.PathLike[str]) -> dict[str, Rule]:
    """Rules from a JSON object, category -> fields of `Rule`.

    Raises:
        ValueError: the file is not such an object; names the file and the fault.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        return {category: Rule(**fields) for category, fields in data.items()}
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no decoding rules: {error}") from error


def save_rules(rules: Mapping[str, Rule], path: str | os.PathLike[str]) -> None:
    """Write what `load_rules` reads."""
    data = {category: asdict(rule) for category, rule in rules.items()}
    Path(path).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
