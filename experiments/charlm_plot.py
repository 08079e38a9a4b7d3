"""The picture of the character models: bits per character against the context in evaluation, and what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

_STYLES: dict[str, dict[str, Any]] = {
    "longformer": {"color": "#c1272d", "marker": "o"},
    "fixed": {"color": "#0000a7", "marker": "s"},
    "mild": {"color": "#eba400", "marker": "v"},
    "no-dilation": {"color": "#008176", "marker": "^"},
    "full": {"color": "#555555", "marker": "D", "linestyle": "--"},
}


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw the result of ``experiments.charlm``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    figure, (scores, gains) = pyplot.subplots(1, 2, figsize=(12, 5.4), layout="constrained")
    for name, run in result["variants"].items():
        lengths = [x["length"] for x in run["contexts"]]
        label = f"{run['about']}: {run['test']['bits_per_character']:.3f}"
        style = {"linewidth": 1.8, "markersize": 5, **_STYLES[name]}
        scores.plot(lengths, [x["bits_per_character"] for x in run["contexts"]], label=label, **style)
        means, errors = gains_of(run["contexts"])
        gains.errorbar(lengths, means, errors, capsize=3, elinewidth=1, **style)
    lengths = sorted({x["length"] for run in result["variants"].values() for x in run["contexts"]})
    trained = max(stage["length"] for run in result["variants"].values() for stage in run["settings"]["stages"])
    for axes in (scores, gains):
        axes.axvline(trained, color="black", linestyle=":", linewidth=1.2)
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))
        axes.tick_params(axis="x", labelsize=9)
        axes.set_xlabel("characters of a sequence in evaluation", fontsize=11)
        axes.grid(True, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    scores.annotate(
        "longest text in training ",
        (trained, 1.0),
        xycoords=("data", "axes fraction"),
        ha="right",
        va="top",
        fontsize=10,
    )
    scores.set_ylabel("bits per character", fontsize=11)
    gains.set_ylabel(f"difference from {lengths[0]:,}, and its standard error", fontsize=11)
    figure.suptitle(f"{result['text']}, seed {result['seed']}", fontsize=12)
    handles, names = scores.get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        title="bits per character of the whole test part",
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=10,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)


def gains_of(contexts: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    """Bits per character less those of the first context, and the standard error of that over the places."""
    first = contexts[0]["at_each_place"]
    differences = [[x - y for x, y in zip(c["at_each_place"], first, strict=True)] for c in contexts]
    return [fmean(d) for d in differences], [stdev(d) / sqrt(len(d)) for d in differences]
