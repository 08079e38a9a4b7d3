"""The tables of `docs/results.md`, `docs/lra.md` and `docs/charlm.md`, from the result files.

python -m experiments.report
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longspan.charlm.evaluating import LENGTH
from longspan.lra.report import find_results, render

from .catalog import EXPERIMENTS, Experiment
from .charlm import PLACES
from .results import FOLDER, read_results

DOCS = Path(__file__).parent.parent / "docs"

START, END = "<!-- start of {} -->", "<!-- end of {} -->"

FAMILIES = {"longformer": "Longformer", "nystromformer": "Nyströmformer"}

FLOORS = ("majority", "mean", "most frequent tag of a word")
"""Baselines that look at labels, or at single words, only; they have a column of their own."""

NAMES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "f1_macro": "F1, mean of the classes",
    "exact": "exact match",
    "matthews": "Matthews",
    "pearson": "Pearson",
    "spearman": "Spearman",
}
"""Metric -> as the tables call it."""

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def main() -> None:
    """Write the tables into the pages, between their markers."""
    for path, tables in pages().items():
        path.write_text(fill(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


def pages() -> dict[Path, dict[str, list[str]]]:
    """Page -> marker -> the table of the committed results."""
    results = read_results(FOLDER)
    return {
        DOCS / "results.md": {"scores": scores_table(results), "runs": runs_table(results)},
        DOCS / "lra.md": {"measured": render(find_results([FOLDER / "lra"])).splitlines()},
        DOCS / "charlm.md": {"measured": charlm_table(FOLDER)},
    }


def fill(page: str, tables: Mapping[str, Sequence[str]]) -> str:
    """The page with these tables between their markers.

    Raises:
        ValueError: a marker is missing.
    """
    for name, lines in tables.items():
        start, end = START.format(name), END.format(name)
        if page.count(start) != 1 or page.count(end) != 1:
            raise ValueError(f"the page must have {start} and {end} once")
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n\n" + "\n".join(lines) + f"\n\n{end}{rest.partition(end)[2]}"
    return page


def scores_table(results: Results) -> list[str]:
    """A line for each metric of each experiment: test scores of baselines and models, and published figures."""
    lines = [
        "| Data | Score | Majority | Simple baseline | Longformer | Nyströmformer | Published, pretrained at scale |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for name, experiment in EXPERIMENTS.items():
        systems = by_system(results.get(name, ()))
        if not systems:
            continue
        floor = next((system for system in systems if system in FLOORS), "")
        best = best_baseline(experiment, {k: v for k, v in systems.items() if k not in (*FLOORS, *FAMILIES)})
        shown = [systems.get(system, ()) for system in (floor, best, *FAMILIES)]
        for metric in experiment.metrics:
            cells = [mean(experiment, runs, metric) for runs in shown]
            title = experiment.title if metric == experiment.metrics[0] else ""
            found = [f"{p.model} {p.score:.1f} ({p.source})" for p in experiment.published if p.metric == metric]
            lines.append(f"| {title} | {NAMES[metric]} | {' | '.join(cells)} | {'; '.join(found)} |")
    return lines


def runs_table(results: Results) -> list[str]:
    """A line for each system of each experiment: what it was, what it cost, and the command that does it again."""
    lines = [
        "| Data | System | Runs | Validation | Test | CPU minutes | Commit | Command |",
        "|---|---|---:|---:|---:|---:|---|---|",
    ]
    for name, experiment in EXPERIMENTS.items():
        for result in results.get(name, ()):
            for system, runs in by_system([result]).items():
                metric = experiment.metrics[0]
                scores = [mean(experiment, runs, metric, part) for part in ("validation", "test")]
                minutes = statistics.fmean(run["cpu_seconds"] for run in runs) / 60
                commits = ", ".join(dict.fromkeys(run.get("commit", result["commit"]) for run in runs))
                lines.append(
                    f"| {experiment.title} | {_start(system, result)} | {len(runs)} | {' | '.join(scores)} "
                    f"| {minutes:.1f} | {commits} | `{result['command']}` |"
                )
    return lines


def by_system(results: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The runs of each system, the systems in the order of the files."""
    found: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        for run in result["runs"]:
            found.setdefault(run["system"], []).append(run)
    return found


def best_baseline(experiment: Experiment, systems: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The system with the best score on the validation examples; "" if there is none."""
    metric = experiment.metrics[0]
    return max(systems, key=lambda s: statistics.fmean(run["validation"][metric] for run in systems[s]), default="")


def mean(experiment: Experiment, runs: Sequence[Mapping[str, Any]], metric: str, part: str = "test") -> str:
    """The mean score in percent, with the standard deviation of several runs; "" without a run."""
    scores = [run[part][metric] * (1 if experiment.percent else 100) for run in runs if metric in run[part]]
    if not scores:
        return ""
    deviation = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{statistics.fmean(scores):.1f}{deviation}"


def charlm_table(folder: Path) -> list[str]:
    """A line for each character language model: bits per character of the test part, and by context."""
    lines = [
        f"| Text | Model | Test | {PLACES} places, context 256 | 1,024 | 8,192 | 32,256 | Steps "
        "| CPU minutes | Commit |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for path in sorted(folder.glob("charlm-*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        for run in result["variants"].values():
            contexts = {x["length"]: f"{x['bits_per_character']:.3f}" for x in run["contexts"]}
            cells = [
                result["text"],
                run["about"],
                f"{run['test']['bits_per_character']:.3f}",
                *(contexts.get(length, "") for length in (256, 1024, 8192, LENGTH)),
                f"{run['steps']:,}",
                f"{run['cpu_seconds'] / 60:.0f}",
                run["commit"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _start(system: str, result: Mapping[str, Any]) -> str:
    start = result.get("start")
    if start is None:
        return system
    if "model" in start:
        return f"{FAMILIES[system]}, from `{start['model']}`"
    return f"{FAMILIES[system]}, new weights, {start['layers']} layers of {start['width']}"


if __name__ == "__main__":
    main()
