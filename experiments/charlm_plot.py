"""The picture of the character models: bits per character against the context they are evaluated with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_STYLES: dict[str, dict[str, Any]] = {
    "longformer": {"color": "#c1272d", "marker": "o"},
    "fixed": {"color": "#0000a7", "marker": "s"},
    "no-dilation": {"color": "#008176", "marker": "^"},
    "full": {"color": "#555555", "marker": "D", "linestyle": "--"},
}


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw the result of ``experiments.charlm``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    figure, axes = pyplot.subplots(figsize=(9, 5.4), layout="constrained")
    trained = 0
    for name, run in result["variants"].items():
        points = [(x["length"], x["bits_per_character"]) for x in run["contexts"]]
        label = f"{run['about']}: {run['test']['bits_per_character']:.3f}"
        axes.plot(*zip(*points, strict=True), label=label, linewidth=1.8, markersize=5, **_STYLES[name])
        trained = max(stage["length"] for stage in run["settings"]["stages"])
    if trained:
        axes.axvline(trained, color="black", linestyle=":", linewidth=1.2)
        axes.annotate(
            " longest text in training", (trained, 1.0), xycoords=("data", "axes fraction"), va="top", fontsize=10
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({x["length"] for run in result["variants"].values() for x in run["contexts"]}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))
    axes.set_xlabel("characters of a sequence in evaluation, of which the last 512 are scored", fontsize=11)
    axes.set_ylabel("bits per character", fontsize=11)
    axes.set_title(f"{result['text']}, seed {result['seed']}", fontsize=12)
    axes.grid(True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
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
