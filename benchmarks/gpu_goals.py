"""How many times faster longspan is on a GPU, and whether that is what it has to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .gpu_models import ROBERTA, THEIRS
from .gpu_parts import BACKENDS, FLASH, ours
from .report import number
from .window_operations import CHUNKS, FLEX

PEERS = (CHUNKS, FLEX, FLASH, THEIRS, ROBERTA)
Row = dict[str, Any]
Spread = dict[str, float]


@dataclass(frozen=True)
class Goal:
    """One number to reach, by any of longspan's backends.

    Attributes:
        what: in words.
        limit: at least this.
        part: of the rows.
        lengths: at each of these; None: at every length of the run.
        value: of longspan's row and the peer's; None where one of them has no speed.
        peer: whom it is compared with, or None.
    """

    what: str
    limit: float
    part: str
    lengths: tuple[int, ...] | None
    value: Callable[[Row | None, Row | None], Spread | None]
    peer: str | None = None


def ratio(mine: Row | None, theirs: Row | None) -> Spread | None:
    """How many times faster longspan is.

    The two were not timed in turn, so the quartiles of both count: low is their fast over our slow.
    """
    if mine is None or theirs is None or "skipped" in mine or "skipped" in theirs:
        return None
    fast, slow = mine["seconds"], theirs["seconds"]
    return {
        "median": slow["median"] / fast["median"],
        "low": slow["low"] / fast["high"],
        "high": slow["high"] / fast["low"],
    }


def fraction(mine: Row | None, _: Row | None) -> Spread | None:
    """The attained part of the card's matrix rate, on the operations of the band."""
    if mine is None or "skipped" in mine:
        return None
    share, seconds = mine["fraction_of_matrix_rate"], mine["seconds"]
    return {
        "median": share,
        "low": share * seconds["median"] / seconds["high"],
        "high": share * seconds["median"] / seconds["low"],
    }


_WITH_GLOBAL = "attention, one global token"
GOALS = (
    Goal("times as fast as transformers' sliding chunks at 4,096 tokens", 8.0, _WITH_GLOBAL, (4096,), ratio, CHUNKS),
    Goal("times as fast as compiled FlexAttention, worst length", 1.0, "attention", None, ratio, FLEX),
    Goal("the same with one global token", 1.0, _WITH_GLOBAL, None, ratio, FLEX),
    Goal("of the matrix rate on the band at 32,768 tokens", 0.5, "attention", (32_768,), fraction),
)


def judge(rows: Sequence[Row], lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Every goal for every backend: its worst value over the goal's lengths, and ``reached``.

    A value is missing, and ``reached`` None, where at one of the lengths a speed is missing, unless another one misses
    the goal already.

    Args:
        rows: of the clock.
        lengths: of the run.
    """
    found = {(row["part"], row["tokens"], row["name"]): row for row in rows}
    judged = []
    for goal in GOALS:
        for backend in BACKENDS:
            values = [
                goal.value(found.get((goal.part, tokens, ours(backend))), found.get((goal.part, tokens, goal.peer)))
                for tokens in goal.lengths or lengths
            ]
            there = [value for value in values if value is not None]
            worst = min(there, key=lambda value: value["median"], default=None)
            missed = worst is not None and worst["median"] < goal.limit
            reached = False if missed else None if len(there) < len(values) else True
            judged.append(
                {"goal": goal.what, "at_least": goal.limit, "backend": backend, "value": worst, "reached": reached}
            )
    return judged


def ratios(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every peer's time over that of each backend, for every part and length."""
    found = {(row["part"], row["tokens"], row["name"]): row for row in rows}
    return [
        {
            "part": row["part"],
            "tokens": row["tokens"],
            "peer": row["name"],
            **{b: ratio(found.get((row["part"], row["tokens"], ours(b))), row) for b in BACKENDS},
        }
        for row in rows
        if row["name"] in PEERS and "skipped" not in row
    ]


def goals_table(judged: Sequence[dict[str, Any]]) -> list[str]:
    """The goals as Markdown; without any it says why."""
    if not judged:
        return ["No GPU figure is claimed: this run was not of full size on a CUDA device, so no goal is judged."]
    words = {True: "reached", False: "**missed**", None: "not measured"}
    lines = ["| goal | at least | backend | measured (quartiles) | |", "|---|---:|---|---:|---|"]
    for row in judged:
        measured = _cell(row["value"])
        lines.append(
            f"| {row['goal']} | {row['at_least']:g} | {row['backend']} | {measured} | {words[row['reached']]} |"
        )
    return lines


def ratios_table(found: Sequence[dict[str, Any]]) -> list[str]:
    """The ratios as Markdown, a column a backend."""
    lines = [
        "| times faster (quartiles) than | tokens | | " + " | ".join(map(ours, BACKENDS)) + " |",
        "|---|---:|---|" + "---:|" * len(BACKENDS),
    ]
    for row in found:
        cells = " | ".join(_cell(row[backend]) for backend in BACKENDS)
        lines.append(f"| {row['peer']} | {row['tokens']:,} | {row['part']} | {cells} |")
    return lines


def _cell(value: Spread | None) -> str:
    if value is None:
        return ""
    return f"{number(value['median'])} ({number(value['low'])} to {number(value['high'])})"
