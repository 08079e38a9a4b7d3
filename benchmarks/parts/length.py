"""Time and peak memory against length, every model until it breaks."""

from __future__ import annotations

import statistics
from typing import Any

from ..fresh import Work, fresh
from ..models import (
    BIGBIRD,
    LONGFORMER,
    MODERNBERT,
    NYSTROM,
    ROBERTA,
    THEIR_LONGFORMER,
    THEIR_NYSTROM,
    reading,
)
from ..results import Run
from ..sizes import sizes

TITLE = "Length: time and memory of one pass, each model until it breaks"
CASE = "benchmarks.parts.length:case"
NAMES = (THEIR_LONGFORMER, ROBERTA, MODERNBERT, BIGBIRD, THEIR_NYSTROM, LONGFORMER, NYSTROM)
LENGTHS = (4096, 16_384, 65_536, 262_144)
LAYERS = 2
GIGABYTES = 18.0
PATIENCE = 600.0
"""Seconds that one pass may take: a length that would need more is where a model breaks."""
CHECKED = (
    "After the pass, rows at both ends, in the middle and between are computed in float64: of the first layer from the "
    "token ids, of the last from what it read in this very pass. The error is the largest difference over the largest "
    "value; a wrong pass gets no time."
)
SETUP = 300.0
"""Seconds beside the pass: imports, weights, the warming run, the check."""


def fill(run: Run) -> None:
    """Every model and length in a process of its own; stops a model at its first failure."""
    lengths = (256, 512) if run.quick else LENGTHS
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        for tokens in lengths:
            row = measure(run, name, tokens, [r for r in rows if r["name"] == name])
            rows.append(row)
            if "stopped" in row:
                break
    run.groups.append(series(f"{LAYERS} layers of base size (ModernBERT: 3 of its 22)", rows))
    hidden = sizes(run.quick).hidden * 4
    for name, key in ((LONGFORMER, "longformer"), (NYSTROM, "nystromformer")):
        reached = [row for row in rows if row["name"] == name and row.get("peak_bytes") is not None]
        if len(reached) > 1:
            grown = reached[-1]["peak_bytes"] - reached[0]["peak_bytes"]
            states = grown / (reached[-1]["tokens"] - reached[0]["tokens"]) / hidden
            run.measure(f"length.{key}.states", [states])
    run.notes.append(
        f"One pass each, in a fresh process after a warming run; at most {GIGABYTES:g} GB and {PATIENCE:.0f} s a pass: "
        f'"patience" ended a curve where the next pass would take longer. {CHECKED} Position tables of peers are as '
        "long as the document, and count as weights."
    )


def measure(run: Run, name: str, tokens: int, before: list[dict[str, Any]]) -> dict[str, Any]:
    """One row; a length that the shorter ones show to be out of reach is not tried."""
    if len(before) > 1:
        # At least as steep as between the last two lengths.
        last, previous = (b["seconds"] / b["tokens"] for b in (before[-1], before[-2]))
        expected = last * max(1.0, last / previous) * tokens
        if expected > PATIENCE:
            stopped = f"patience: would take about {expected:,.0f} s, over {PATIENCE:.0f} s"
            return {"name": name, "tokens": tokens, "layers": LAYERS, "stopped": stopped}
    # One of them really goes through a process in a quick run.
    here = run.quick and (name, tokens) != (LONGFORMER, 256)
    return once(run, name, tokens, PATIENCE + SETUP, here)


def once(run: Run, name: str, tokens: int, seconds: float, here: bool) -> dict[str, Any]:
    """One pass within so many seconds, as a row."""
    run.say(f"{name}, {tokens:,} tokens")
    warm = 128 if run.quick else 1024
    arguments = {"name": name, "tokens": tokens, "warm_tokens": warm, "layers": LAYERS, "quick": run.quick}
    done = fresh(CASE, arguments, seconds=seconds, gigabytes=GIGABYTES, here=here)
    row: dict[str, Any] = {"name": name, "tokens": tokens, "layers": LAYERS}
    if "stopped" in done:
        return {**row, "stopped": done["stopped"]}
    return {**row, **{key: done[key] for key in ("seconds", "peak_bytes", "error")}}


def series(title: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A group whose rows are lengths instead of contenders in turn."""
    return {"title": title, "kind": "series", "rows": rows}


def case(name: str, tokens: int, warm_tokens: int, layers: int, quick: bool) -> Work:
    """Read ``tokens`` tokens in one pass."""
    return reading(name, tokens, warm_tokens, layers, quick)


def cost_ratio(done: dict[str, Any], tokens: int, warm_tokens: int) -> list[float]:
    """Cost per token of the long pass over that of each of the warming ones but the first."""
    warm = done["warm_seconds"][1:] or done["warm_seconds"]
    return [done["seconds"] / tokens / (seconds / warm_tokens) for seconds in warm]


def single(run: Run, name: str, key: str, tokens: int, layers: int, seconds: float) -> dict[str, Any]:
    """One long pass after five of 4,096 tokens, with its measures ``KEY.memory`` (GB) and ``KEY.cost``."""
    size = sizes(run.quick)
    run.say(f"{name}, {layers} layers, {tokens:,} tokens")
    arguments = {"name": name, "tokens": tokens, "warm_tokens": size.tokens, "layers": layers, "quick": run.quick}
    done = fresh(CASE, arguments, warm_runs=6, seconds=seconds, gigabytes=GIGABYTES, here=run.quick)
    row: dict[str, Any] = {"name": name, "tokens": tokens, "layers": layers}
    if "stopped" in done:
        run.skip(f"{key}.memory", done["stopped"])
        run.skip(f"{key}.cost", done["stopped"])
        return {**row, "stopped": done["stopped"]}
    if done["peak_bytes"] is None:
        run.skip(f"{key}.memory", "peak memory is known on Linux only")
    else:
        run.measure(f"{key}.memory", [done["peak_bytes"] / 1e9])
    run.measure(f"{key}.cost", cost_ratio(done, tokens, size.tokens))
    short = statistics.median(done["warm_seconds"][1:])
    return {
        **row,
        "seconds": done["seconds"],
        "peak_bytes": done["peak_bytes"],
        "error": done["error"],
        "short_tokens": size.tokens,
        "short_seconds": short,
    }
