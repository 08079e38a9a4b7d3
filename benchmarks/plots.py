"""The two pictures of the results. matplotlib loads here, inside the functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .bars import BARS
from .models import BIGBIRD, LONGFORMER, MODERNBERT, NYSTROM, ROBERTA, THEIR_LONGFORMER, THEIR_NYSTROM

# longspan in strong colours and lines, peers in quieter ones; the markers tell them apart without colour.
STYLES: dict[str, dict[str, Any]] = {
    LONGFORMER: {"color": "#c1272d", "marker": "o", "linewidth": 2.8},
    NYSTROM: {"color": "#0000a7", "marker": "s", "linewidth": 2.8},
    THEIR_LONGFORMER: {"color": "#e08a8d", "marker": "v", "linewidth": 1.6},
    THEIR_NYSTROM: {"color": "#8a8ae0", "marker": "^", "linewidth": 1.6},
    ROBERTA: {"color": "#555555", "marker": "D", "linewidth": 1.6},
    MODERNBERT: {"color": "#008176", "marker": "P", "linewidth": 1.6},
    BIGBIRD: {"color": "#c99700", "marker": "X", "linewidth": 1.6},
}
DEFAULT, CPP = "#c1272d", "#e9a13b"
LABELS = {
    "forward.transformers": "Longformer, vs transformers",
    "forward.cpp": "the same with backend cpp",
    "forward.roberta": "Longformer, vs RoBERTa with SDPA",
    "forward.bfloat16": "Longformer in bfloat16, vs transformers float32",
    "forward.cpp_bfloat16": "the same with backend cpp",
    "attention.chunks": "window attention, vs sliding chunks",
    "attention.cpp_chunks": "the same with backend cpp",
    "attention.flex": "window attention, vs compiled FlexAttention",
    "short.global.16.transformers": "16 tokens, one global, vs transformers",
    "short.plain.16.transformers": "16 tokens, no global, vs transformers",
    "train.step": "training step, vs transformers",
    "train.dropout": "training step with dropout, vs transformers",
    "nystrom.layer": "Nyströmformer layer, vs transformers",
    "nystrom.operation": "Nyström attention, vs transformers",
}


def plot_lengths(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Time and peak memory of one pass against length, log-log, each model until it breaks (a cross)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    rows = [
        row
        for part in ("length", "million")
        for group in results.get(part, {}).get("groups", [])
        for row in group["rows"]
    ]
    if not rows:
        return _empty(path, "length")
    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(11, 4.9), layout="constrained")
    lengths = sorted({row["tokens"] for row in rows if "seconds" in row})
    for name, style in STYLES.items():
        own = [row for row in rows if row["name"] == name]
        passed = [row for row in own if "seconds" in row]
        if not passed:
            continue
        broke = any("stopped" in row for row in own)
        for axes, key, factor in ((time, "seconds", 1.0), (memory, "peak_bytes", 1e-9)):
            points = [(row["tokens"], row[key] * factor) for row in passed if row[key]]
            if not points:
                continue
            axes.plot(*zip(*points, strict=True), label=name, markersize=8, **style)
            if broke:
                axes.plot(*points[-1], marker="x", color="black", markersize=11, markeredgewidth=1.8, zorder=5)
    for axes, title in ((time, "seconds for one pass"), (memory, "peak memory above the weights, GB")):
        axes.set(xscale="log", yscale="log", xlabel="tokens in one pass")
        axes.set_title(title, fontsize=13)
        axes.set_xticks(lengths)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n / 1024:g}k" if n < 1 << 20 else f"{n >> 20:g}M"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=11)
        axes.grid(True, which="major", alpha=0.3)
    handles, labels = time.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=11)
    figure.suptitle("2 layers of base size, CPU; x: the next length is out of reach (memory, or patience)", fontsize=12)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)


def plot_ratios(results: dict[str, dict[str, Any]], path: Path) -> None:
    """How many times faster longspan is, with quartiles; a tick marks what was aimed at."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    bars = {bar.key: bar for bar in BARS}
    found = [(bars[key], measure) for key in LABELS if "median" in (measure := bars[key].measured(results) or {})]
    if not found:
        return _empty(path, "all")
    figure, axes = pyplot.subplots(figsize=(10, 1.2 + 0.42 * len(found)), layout="constrained")
    for y, (bar, measure) in enumerate(reversed(found)):
        median = measure["median"]
        axes.barh(y, median, color=CPP if bar.optional else DEFAULT, height=0.62)
        axes.hlines(y, measure["low"], measure["high"], color="black", linewidth=1.4)
        axes.vlines(bar.limit, y - 0.42, y + 0.42, color="#0000a7", linewidth=2.4)
        axes.annotate(f" {median:.1f} x", (max(median, measure["high"], bar.limit), y), va="center", fontsize=12)
    axes.set_yticks(range(len(found)), [LABELS[bar.key] for bar, _ in reversed(found)], fontsize=12)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times faster (line: quartiles; blue tick: the aim)", fontsize=12)
    names = {DEFAULT: "longspan, its default", CPP: 'longspan, attn_implementation="cpp"'}
    handles = [Patch(color=color, label=name) for color, name in names.items()]
    axes.legend(handles=handles, loc="lower right", frameon=False, fontsize=12)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)


def _empty(path: Path, part: str) -> None:
    """A picture that says how to get the real one."""
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(10, 2))
    figure.text(0.5, 0.5, f"no result yet: python -m benchmarks {part}", ha="center", va="center", fontsize=16)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)
