"""The picture of the retrieval experiment: accuracy by distance, a panel for each length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .retrieval_evaluation import BINS, wilson

_ON: dict[str, Any] = {"color": "#c1272d", "marker": "o"}
_OFF: dict[str, Any] = {"color": "#555555", "marker": "s"}
_CONTROL: dict[str, Any] = {"color": "#0000a7", "marker": "^", "linestyle": "--"}


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw the result of ``experiments.retrieval``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    lengths = list(dict.fromkeys(part["tokens"] for part in result["evaluation"]))
    figure, panels = pyplot.subplots(
        1, len(lengths), figsize=(11, 4.2), sharey=True, layout="constrained", squeeze=False
    )
    for axes, length in zip(panels[0], lengths, strict=True):
        parts = {part["globals"]: part for part in result["evaluation"] if part["tokens"] == length}
        _draw(axes, parts[True], "global tokens on", _ON)
        _draw(axes, parts[False], "the same weights, global tokens off", _OFF)
        control = result["control"]["evaluation"]
        if control["tokens"] == length:
            _draw(axes, control, "trained without global tokens", _CONTROL)
        axes.axhline(result["chance"], color="black", linestyle=":", linewidth=1.2, label="chance")
        on, off = parts[True]["accuracy"], parts[False]["accuracy"]
        axes.set_title(f"{length:,} tokens: {on:.2%} on, {off:.1%} off", fontsize=12)
        axes.set(xlim=(0, length), ylim=(-0.02, 1.04))
        axes.set_xticks([length * i // 4 for i in range(5)])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1024:g}k" if x else "0"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        axes.grid(True, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("right answers", fontsize=12)
    panels[0][len(lengths) // 2].set_xlabel("tokens between the question and the value", fontsize=12)
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=11)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)


def _draw(axes: Any, part: dict[str, Any], name: str, style: dict[str, Any]) -> None:
    """One line, with the 95 % interval of each of its points."""
    width = part["tokens"] / BINS
    points = [((i + 0.5) * width, x["right"], x["questions"]) for i, x in enumerate(part["bins"]) if x["questions"]]
    middles = [x for x, _, _ in points]
    shares = [k / n for _, k, n in points]
    bounds = [wilson(k, n) for _, k, n in points]
    below = [max(0.0, share - low) for share, (low, _) in zip(shares, bounds, strict=True)]
    above = [max(0.0, high - share) for share, (_, high) in zip(shares, bounds, strict=True)]
    axes.errorbar(middles, shares, yerr=(below, above), label=name, markersize=5, linewidth=1.8, elinewidth=1, **style)
