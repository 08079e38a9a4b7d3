"""The report: every number to reach is in it, with what was measured, or that nothing was."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.bars import BARS, Bar
from benchmarks.measure import Contender
from benchmarks.models import LONGFORMER, ROBERTA
from benchmarks.report import ORDER, markdown, number, page, write_report
from benchmarks.results import Run, load

ROOT = Path(__file__).parents[2]


def result(part, measures=None, groups=()):
    return {
        "part": part,
        "date": "2026-01-02 03:04 UTC",
        "commit": "abc",
        "minutes": 2.0,
        "machine": dict.fromkeys(("processor", "capability", "threads", "torch", "transformers", "python"), "?")
        | {"matrix_gflops": 200.0},
        "notes": ["A note."],
        "groups": list(groups),
        "measures": measures or {},
    }


def rows_of(text, heading):
    section = text.split(f"[start:{heading}]")[1].split(f"[end:{heading}]")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def test_every_bar_is_listed_even_without_any_result():
    rows = rows_of(markdown({}), "bars")
    assert len(rows) == len(BARS) and all("not measured" in row for row in rows)
    assert {bar.number for bar in BARS} == set(range(1, 10))
    assert {bar.part for bar in BARS} <= set(ORDER)
    assert len({bar.key for bar in BARS}) == len(BARS)


@pytest.mark.parametrize(
    ("sense", "limit", "value", "met"),
    [("at least", 2, 2, True), ("at least", 2, 1.9, False), ("at most", 2, 2, True), ("at most", 2, 2.1, False),
     ("over", 1, 1, False), ("over", 1, 1.1, True), ("under", 1, 1, False), ("under", 1, 0.9, True)],
)  # fmt: skip
def test_a_bar_is_met_by_its_sense(sense, limit, value, met):
    bar = Bar(1, "a.b", "", sense, limit)
    assert bar.met({"median": value, "low": 0, "high": 9}) is met
    assert bar.met({"skipped": "why"}) is None and bar.met(None) is None


def test_bars_show_value_spread_and_reason():
    measures = {
        "forward.transformers": {"median": 2.5, "low": 2.412, "high": 2.61, "repetitions": 5},
        "forward.roberta": {"median": 1.4, "low": 1.3, "high": 1.5, "repetitions": 5},
        "forward.bfloat16": {"skipped": "no avx512_bf16"},
    }
    text = markdown({"forward": result("forward", measures)})
    rows = rows_of(text, "bars")
    assert rows[0].endswith("| at least 2.4 x | 2.50 x | (2.41 to 2.61) | yes |")
    assert rows[1].endswith("| at least 1.5 x | 1.40 x | (1.30 to 1.50) | **no** |")
    assert rows[2].endswith("| not measured: no avx512_bf16 |")
    assert f"1 of {len(BARS)} numbers are reached, 1 are not, {len(BARS) - 2} have no measurement" in text
    assert len(rows_of(text, "headline")) == 2


def test_the_default_and_the_optional_backend_are_counted_apart():
    measures = {key: {"median": 9.0, "low": 9.0, "high": 9.0} for key in ("forward.transformers", "forward.cpp")}
    text = markdown({"forward": result("forward", measures)})
    assert f"2 of {len(BARS)} numbers are reached" in text
    extra = sum("cpp" in bar.what for bar in BARS)
    assert f"{len(BARS) - extra} of them are the goals of the default" in text and "which reaches 1." in text
    assert f"The other {extra} are extra rows" in text and "and of which it reaches 1." in text


def test_a_failed_part_has_no_figure(tmp_path):
    run = Run("forward", quick=True)
    run.measure("forward.transformers", [9.0])
    run.finish(tmp_path)
    assert "9.00 x" in page(tmp_path)
    run.fail(tmp_path, "RuntimeError: a|b is wrong")
    text = page(tmp_path)
    assert "9.00 x" not in text and "**These parts failed and have no figure:** forward." in text
    assert "**This part failed, so it has no figure:** RuntimeError: a\\|b is wrong" in text
    assert rows_of(text, "bars")[0].endswith("| not measured: the part failed: RuntimeError: a\\|b is wrong |")
    assert not rows_of(text, "headline")


def test_parts_of_different_commits_say_so():
    results = {part: result(part) for part in ("forward", "short")}
    assert "not all taken at the same commit" not in markdown(results)
    results["short"]["commit"] = "def"
    assert "not all taken at the same commit" in markdown(results)


def test_tables_show_contenders_skipped_ones_and_lengths():
    spread = {"median": 0.5, "low": 0.4, "high": 0.6}
    timed = {
        "title": "Timed",
        "baseline": "ours",
        "rows": [
            {"name": "ours", "check": "theirs", "error": 2e-7, "seconds": spread, "cpu_seconds": spread,
             "over_baseline": spread, "fraction_of_matrix_rate": 0.25, "peak_bytes": 3e7},
            {"name": "broken", "check": "theirs", "skipped": "NotImplementedError: a|b"},
        ],
    }  # fmt: skip
    lengths = {
        "title": "Lengths",
        "kind": "series",
        "rows": [
            {"name": LONGFORMER, "tokens": 4096, "layers": 2, "seconds": 1.234, "peak_bytes": 5e8, "error": 3e-7},
            {"name": ROBERTA, "tokens": 4096, "layers": 2, "stopped": "out of memory"},
            {"name": LONGFORMER, "tokens": 8192, "layers": 2, "seconds": 2.5, "peak_bytes": None, "error": 4e-7},
        ],
    }
    text = markdown({"attention": result("attention", groups=[timed]), "length": result("length", groups=[lengths])})
    assert "| ours | 500.0 | 500.0 | 0.50 (0.40 to 0.60) | 25% | 30 | 2e-07 | theirs |" in text
    assert "did not run: NotImplementedError: a\\|b |" in text
    assert f"| {LONGFORMER} | 1.23 s, 0.50 GB | 2.50 s |" in text
    assert f"| {ROBERTA} | out of memory |  |" in text
    assert "Every pass with a time was checked; the largest error is 4e-07." in text


def test_a_run_becomes_a_file_and_a_page_with_pictures(tmp_path):
    import torch

    run = Run("length", quick=True)
    one = Contender("one", lambda: torch.ones(2), shape=(2,), flops=1e6)
    missing = Contender("missing", lambda: 1 / 0, shape=(2,), optional=True)
    run.compare("A group", [one, missing], 5, one)
    run.measure("length.longformer.states", [2.0])
    run.measure("length.nystromformer.states", [])
    series = [{"name": LONGFORMER, "tokens": n, "layers": 2, "seconds": n / 1e4, "peak_bytes": n} for n in (64, 128)]
    run.groups.append({"title": "s", "kind": "series", "rows": series})
    del run.groups[0]["rows"][1]["check"]
    first = json.loads(run.finish(tmp_path).read_text())
    assert first["groups"][0]["rows"][0]["over_baseline"]["median"] == 1 and first["machine"]["matrix_gflops"] > 0
    assert first["groups"][0]["rows"][1] == {"name": "missing", "skipped": "ZeroDivisionError: division by zero"}
    assert list(first["measures"]) == ["length.longformer.states"]
    assert load(tmp_path, ORDER)["length"] == first

    first["groups"] = first["groups"][1:]
    (tmp_path / "length.json").write_text(json.dumps(first))
    write_report(tmp_path, tmp_path / "pictures")
    assert "2.00 hidden states" in (tmp_path / "README.md").read_text()
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [p.name for p in pictures] == ["benchmark-length.png", "benchmark-ratios.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") and p.stat().st_size > 5000 for p in pictures)


def test_no_gpu_figure_without_a_gpu():
    assert "No GPU was at hand" in markdown({})
    with_one = markdown({}, ["gpu-h100.json"])
    assert "[gpu-h100.json](gpu-h100.json)" in with_one and "No GPU" not in with_one


def test_numbers_have_three_digits():
    assert [number(x) for x in (0, 0.0123, 0.25, 1.0, 12.34, 1234.5)] == ["0", "0.012", "0.25", "1.00", "12.3", "1,234"]


def test_the_committed_page_was_written_from_the_committed_results():
    results = ROOT / "benchmarks" / "results"
    assert (results / "README.md").read_text(encoding="utf-8") == page(results)
    for picture in re.findall(r"\]\((\S+\.png)\)", (results / "README.md").read_text(encoding="utf-8")):
        assert (results / picture).is_file()
