"""Tables and pictures of the results that are there: ``benchmarks/results/README.md`` is written by this."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .bars import BARS, Bar, unit
from .results import load

ORDER = (
    "forward",
    "layer",
    "attention",
    "short",
    "train",
    "nystrom",
    "ragged",
    "length",
    "long",
    "million",
    "keras",
    "startup",
)
HEADLINES = (
    ("forward.transformers", "Base-size Longformer, forward, 4,096 tokens", "`transformers` Longformer"),
    ("forward.roberta", "the same", "RoBERTa with SDPA"),
    ("forward.bfloat16", "the same in bfloat16", "`transformers` Longformer, float32"),
    ("attention.chunks", "Window attention alone", "`transformers` sliding chunks"),
    ("attention.flex", "Window attention alone", "compiled FlexAttention"),
    ("short.global.16.transformers", "16 tokens, one global token", "`transformers` Longformer"),
    ("train.step", "Training step, 4,096 tokens", "`transformers` Longformer"),
    ("nystrom.layer", "Nyströmformer, per layer, 4,096 tokens", "`transformers` Nyströmformer"),
    ("nystrom.operation", "Nyström attention alone", "`transformers` Nyströmformer"),
    ("keras.transformers", "TensorFlow Longformer, per layer, 4,096 tokens", "`transformers` 4.57 Longformer"),
)


def write_report(results: Path, pictures: Path) -> None:
    """Write ``results/README.md`` and the pictures from the JSON files in ``results``."""
    loaded = load(results, ORDER)
    results.mkdir(parents=True, exist_ok=True)
    (results / "README.md").write_text(page(results), encoding="utf-8")
    from .plots import plot_lengths, plot_ratios

    pictures.mkdir(parents=True, exist_ok=True)
    plot_lengths(loaded, pictures / "benchmark-length.png")
    plot_ratios(loaded, pictures / "benchmark-ratios.png")


def page(folder: Path) -> str:
    """The page of the results in ``folder``."""
    return markdown(load(folder, ORDER), sorted(path.name for path in folder.glob("gpu*.json")))


def markdown(results: dict[str, dict[str, Any]], gpu_files: Sequence[str] = ()) -> str:
    """The whole page. The comments in it mark the sections that the documentation includes.

    Args:
        results: by part.
        gpu_files: names of the result files of ``benchmarks.gpu``.
    """
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks report` from the JSON files beside it: do not edit.",
        "",
        *_section("headline", headline(results)),
        "![Time and memory against length](../../docs/images/benchmark-length.png)",
        "",
        "![Ratios](../../docs/images/benchmark-ratios.png)",
        "",
        "## Bars",
        "",
        *_section(
            "bars",
            [*_counts(results), "", *bars_table(results)],
        ),
    ]
    tables = [line for part in ORDER if part in results for line in _part(part, results[part])]
    lines += _section("parts", tables)
    lines += ["## GPU", "", *_section("gpu", _gpu(gpu_files))]
    return "\n".join(lines).rstrip() + "\n"


def _counts(results: dict[str, dict[str, Any]]) -> list[str]:
    """How many numbers are reached, and whose they are."""
    met = {bar: bar.met(bar.measured(results)) for bar in BARS}
    reached, missed, missing = (sum(value is kind for value in met.values()) for kind in (True, False, None))
    goals, extra = ([met[bar] for bar in BARS if bar.optional is optional] for optional in (False, True))
    lines = [
        f"{reached} of {len(BARS)} numbers are reached, {missed} are not, {missing} have no measurement. "
        f"{len(goals)} of them are the goals of the default, the stock kernels that every installation has, which "
        f"reaches {goals.count(True)}. The other {len(extra)} are extra rows: goals that the optional backend `cpp` "
        f"is asked for too, and of which it reaches {extra.count(True)}. "
        "A ratio is the median over the repetitions of one run, with its quartiles.",
    ]
    failed = [part for part in ORDER if "failed" in results.get(part, {})]
    if failed:
        lines += ["", f"**These parts failed and have no figure:** {', '.join(failed)}."]
    if len({result["commit"] for result in results.values()}) > 1:
        lines += ["", "The parts were not all taken at the same commit: each names its own below."]
    return lines


def _gpu(files: Sequence[str]) -> list[str]:
    if not files:
        return ["No GPU was at hand: there is no GPU figure. `python -m benchmarks.gpu` takes them on a CUDA machine."]
    return ["Taken by `python -m benchmarks.gpu`; each file names its device:", "", *(f"- [{x}]({x})" for x in files)]


def _section(name: str, lines: list[str]) -> list[str]:
    return [f"<!-- --8<-- [start:{name}] -->", "", *lines, "", f"<!-- --8<-- [end:{name}] -->", ""]


def headline(results: dict[str, dict[str, Any]]) -> list[str]:
    """The few ratios that matter most, as a table."""
    by_key = {bar.key: bar for bar in BARS}
    lines = ["| What | longspan is faster than | by (quartiles) |", "|---|---|---:|"]
    for key, what, than in HEADLINES:
        measure = by_key[key].measured(results)
        if measure is not None and "median" in measure:
            lines.append(f"| {what} | {than} | **{number(measure['median'])}** {_quartiles(measure)} |")
    return lines


def bars_table(results: dict[str, dict[str, Any]]) -> list[str]:
    """Every bar with target, measured value, spread, and whether it is met."""
    lines = ["| Bar | What | Target | Measured | Quartiles | Met |", "|---:|---|---|---:|---:|---|"]
    return lines + [_bar_row(bar, bar.measured(results)) for bar in BARS]


def _bar_row(bar: Bar, measure: dict[str, Any] | None) -> str:
    start = f"| {bar.number} | {bar.what} | {bar.target} |"
    if measure is None:
        return f"{start} | | not measured |"
    if "skipped" in measure:
        return f"{start} | | not measured: {_cell(measure['skipped'])} |"
    quartiles = _quartiles(measure) if measure.get("repetitions", 1) > 1 else ""
    met = "yes" if bar.met(measure) else "**no**"
    return f"{start} {number(measure['median'])}{unit(bar.unit)} | {quartiles} | {met} |"


def _part(part: str, result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    command = result.get("command", f"python -m benchmarks {part}")
    lines = [
        f"## {import_module(f'.parts.{part}', __package__).TITLE}",
        "",
        f"`{command}`, {result['date']}, commit {result['commit']}, {result['minutes']:.1f} minutes. "
        f"{machine['processor']} ({machine['capability']}), {machine['threads']} threads, best float32 matrix rate "
        f"{machine['matrix_gflops']:.0f} GFLOP/s; torch {machine['torch']}, transformers {machine['transformers']}, "
        f"Python {machine['python']}.",
        "",
    ]
    if "failed" in result:
        return [*lines, f"**This part failed, so it has no figure:** {_cell(result['failed'])}", ""]
    for note in result["notes"]:
        lines += [note, ""]
    for group in result["groups"]:
        lines += [f"### {group['title']}", "", group_table(group, result["measures"]), ""]
    return lines


def group_table(group: dict[str, Any], measures: dict[str, dict[str, Any]] | None = None) -> str:
    """A group of contenders, of lengths, or of single values, as Markdown."""
    if group.get("kind") == "values":
        return _values(group, measures or {})
    if group.get("kind") == "series":
        return _series(group)
    lines = [
        f"| contender | ms | CPU ms | time over {group['baseline']} (quartiles) | matrix rate | peak MB "
        "| error | checked against |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    return "\n".join(lines + [_contender(row) for row in group["rows"]])


def _contender(row: dict[str, Any]) -> str:
    if "skipped" in row:
        return f"| {row['name']} | | | | | | | did not run: {_cell(row['skipped'])} |"
    fraction = f"{row['fraction_of_matrix_rate']:.0%}" if "fraction_of_matrix_rate" in row else ""
    peak = f"{row['peak_bytes'] / 1e6:,.0f}" if "peak_bytes" in row else _cell(row.get("memory_stopped", ""))
    error = "" if row["error"] is None else f"{row['error']:.0e}"
    ratio = row["over_baseline"]
    return (
        f"| {row['name']} | {row['seconds']['median'] * 1e3:,.1f} | {row['cpu_seconds']['median'] * 1e3:,.1f} "
        f"| {number(ratio['median'])} {_quartiles(ratio)} | {fraction} | {peak} | {error} | {row['check']} |"
    )


def _series(group: dict[str, Any]) -> str:
    """One line a model, one column a length: seconds and GB, or why it stopped."""
    lengths = sorted({row["tokens"] for row in group["rows"]})
    names = list(dict.fromkeys(row["name"] for row in group["rows"]))
    found = {(row["name"], row["tokens"]): row for row in group["rows"]}
    worst = max((row["error"] for row in group["rows"] if "error" in row), default=None)
    lines = [
        "| model | " + " | ".join(f"{tokens:,} tokens" for tokens in lengths) + " |",
        "|---|" + "---:|" * len(lengths),
    ]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(_pass(found.get((name, tokens))) for tokens in lengths) + " |")
    if worst is not None:
        lines += ["", f"Every pass with a time was checked; the largest error is {worst:.0e}."]
    return "\n".join(lines)


def _pass(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if "stopped" in row:
        return _cell(row["stopped"])
    memory = "" if row["peak_bytes"] is None else f", {row['peak_bytes'] / 1e9:.2f} GB"
    return f"{number(row['seconds'])} s{memory}"


def _values(group: dict[str, Any], measures: dict[str, dict[str, Any]]) -> str:
    lines = ["| what | value | quartiles |", "|---|---:|---:|"]
    for row in group["rows"]:
        measure = measures.get(row["key"], {})
        value = number(measure["median"]) if "median" in measure else _cell(measure.get("skipped", ""))
        lines.append(
            f"| {row['what']} | {value} | {_quartiles(measure) if measure.get('repetitions', 1) > 1 else ''} |"
        )
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits, without an exponent."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:,.{digits}f}"


def _quartiles(measure: dict[str, Any]) -> str:
    return f"({number(measure['low'])} to {number(measure['high'])})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
