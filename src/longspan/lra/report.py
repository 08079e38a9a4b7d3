"""The table of runs: published scores beside measured ones, what they cost, and what differed from the protocol."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from longspan.lra.listops import ListOpsRules
from longspan.lra.pathfinder_rules import published_rules
from longspan.lra.protocols import PROTOCOLS, PUBLISHED, ROWS, TASKS

NAMES = {
    "listops": "ListOps",
    "text": "Text",
    "retrieval": "Retrieval",
    "image": "Image",
    "pathfinder32": "Pathfinder",
    "pathfinder64": "Pathfinder-64",
    "longformer": "Longformer",
    "nystromformer": "Nyströmformer",
    "softmax": "softmax",
    "original": "original",
}
DEVIATIONS = {
    "nystromformer": (
        "Adam's first moment is not cycled, and the learning rate rises from 0 instead of from a 25th",
        "no attention dropout in softmax attention",
        "landmarks are means of tokens that are not padding; published ones took padding in",
    ),
    "original": (
        "positions are learned everywhere, and weights begin as PyTorch's layers do",
        "biases and norms are not decayed",
        "Image and Pathfinder: queries, keys and values are as wide as the model instead of half as wide",
        "Pathfinder: the mean leaves out black pixels",
        "Retrieval: the head has one hidden layer instead of two",
        "Longformer: the published program has no global token",
        "no attention dropout in softmax attention",
    ),
}
"""What differs in every run of a protocol."""

_NEEDED = {"task", "protocol", "model", "accuracy", "rows", "about_data"}

HEADER = (
    "Task",
    "Protocol",
    "Model",
    "Published",
    "Measured",
    "Seeds",
    "Steps/s",
    "Memory",
    "Hardware",
    "Differs",
)


@dataclass(frozen=True)
class Line:
    """Runs that differ in their seeds only.

    Attributes:
        runs: what is in their ``result.json``.
    """

    runs: tuple[dict[str, Any], ...]

    @property
    def accuracies(self) -> list[float]:
        """Test accuracies in percent."""
        return [100 * run["accuracy"] for run in self.runs]

    @property
    def model(self) -> str:
        """Its name, and what it attends to."""
        run = self.runs[0]
        name, settings = NAMES[run["model"]], run["settings"]
        if run["model"] == "longformer":
            return f"{name}, window {settings['window']}, global tokens: {settings['global_tokens']}"
        return f"{name}, {settings['landmarks']} landmarks" if run["model"] == "nystromformer" else name

    @property
    def published(self) -> float | None:
        """In percent; None where nobody published it."""
        run = self.runs[0]
        return PUBLISHED[run["protocol"]].get(run["model"], {}).get(run["task"])

    @property
    def measured(self) -> str:
        """Mean and standard deviation, with what a reader must not miss in the same cell."""
        run, found = self.runs[0], self.accuracies
        text = f"{mean(found):.2f}" + (f" ± {stdev(found):.2f}" if len(found) > 1 else "")
        steps = PROTOCOLS[run["protocol"]][run["task"]].steps
        marks = [f"{run['steps']:,} of {steps:,} steps"] if run["steps"] != steps else []
        if run["about_data"].get("lossy"):
            marks.append("lossy images: not comparable")
        return text + (f" ({'; '.join(marks)})" if marks else "")

    @property
    def differs(self) -> str:
        """What was not as in the protocol, besides ``DEVIATIONS``; empty where nothing."""
        run = self.runs[0]
        found = [change for change in run["changes"] if not change.startswith("steps ")]
        about = run["about_data"]
        if about.get("generated"):
            changed = _list_rule_changes(run["task"], about["rules"])
            found.append(f"rows generated here with seed {about['seed']}" + "".join(f", {x}" for x in changed))
        rows = ROWS[run["task"]]
        found += [f"{part} rows {n:,} instead of {rows[part]:,}" for part, n in run["rows"].items() if n != rows[part]]
        if about.get("validated_on_test"):
            found.append("best evaluation chosen on the test rows, as published")
        return "; ".join(found)


def find_results(paths: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The results in files, in the folders of runs, and in folders of either.

    Results of other trainings are left out, and copies of a result.

    Raises:
        ValueError: a path holds none, or a file is none or no JSON.
        OSError: a file cannot be read.
    """
    results: list[dict[str, Any]] = []
    for path in map(Path, paths):
        files = [path] if path.is_file() else sorted({*path.glob("result.json"), *path.glob("*/result.json")})
        files = files or sorted(path.glob("*.json"))
        found = [content for file in files if (content := _read_result(file)) is not None]
        if not found:
            there = "this" if path.is_file() else "there"
            raise ValueError(f"{path}: {there} is no result of a run of Long Range Arena")
        for content in found:
            if content not in results:
                results.append(content)
    return results


def _read_result(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: no JSON: {error}") from None
    if not isinstance(content, dict) or not content.keys() >= _NEEDED:
        return None
    try:
        render([content])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: a damaged result: {type(error).__name__}: {error}") from None
    return content


def _list_rule_changes(task: str, rules: dict[str, Any]) -> list[str]:
    """How the rules that rows were drawn by differ from the published ones."""
    published = ListOpsRules() if task == "listops" else published_rules(int(task.removeprefix("pathfinder")))
    return [f"{name} {rules[name]} instead of {x}" for name, x in asdict(published).items() if rules[name] != x]


def make_lines(results: Sequence[dict[str, Any]]) -> list[Line]:
    """Results in the order of tasks, those that differ in the seed alone together; a seed counts once in a line."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    before: Counter[tuple[str, int]] = Counter()
    for result in results:
        place = [f"{TASKS.index(result['task'])}", *(result[name] for name in ("protocol", "model"))]
        data = [result["about_data"], result["rows"], result.get("rows_sha256")]
        key = json.dumps([*place, result["settings"], *data], sort_keys=True)
        groups.setdefault((key, before[key, result["seed"]]), []).append(result)
        before[key, result["seed"]] += 1
    return [Line(tuple(sorted(groups[key], key=lambda run: run["seed"]))) for key in sorted(groups)]


def render(results: Sequence[dict[str, Any]]) -> str:
    """The table in Markdown, below it what differs in its lines, by number, and in all runs of a protocol."""
    lines = make_lines(results)
    notes = list(dict.fromkeys(line.differs for line in lines if line.differs))
    rows = [HEADER, *(_cells(line, notes) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    text = "".join(f"| {' | '.join(map(str.ljust, cells, widths))} |\n" for cells in rows)
    text += "\nDiffers:\n\n" if notes else ""
    text += "".join(f"{number}. {note}\n" for number, note in enumerate(notes, 1))
    for protocol in sorted({line.runs[0]["protocol"] for line in lines}):
        text += f"\nIn all runs of the protocol {NAMES[protocol]}: {'; '.join(DEVIATIONS[protocol])}.\n"
    return text


def _cells(line: Line, notes: Sequence[str]) -> tuple[str, ...]:
    run = line.runs[0]
    published = line.published
    return (
        NAMES[run["task"]],
        NAMES[run["protocol"]],
        line.model,
        "" if published is None else f"{published:.2f}",
        line.measured,
        ", ".join(str(run["seed"]) for run in line.runs),
        f"{mean(run['steps_per_second'] for run in line.runs):.2f}",
        f"{max(run['peak_memory_bytes'] for run in line.runs) / 2**30:.2f} GiB",
        ", ".join(sorted({f"{run['hardware']}, threads: {run['threads']}" for run in line.runs})),
        str(notes.index(line.differs) + 1) if line.differs else "",
    )
