"""The parts at tiny sizes: they check what they measure, and save nothing among the results."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as main_module
from benchmarks.__main__ import EXTRA, OWN, PARTS, run_parts
from benchmarks.models import LONGFORMER, THEIR_LONGFORMER, build, document, share_weights
from benchmarks.report import ORDER
from benchmarks.results import Run, load
from benchmarks.sizes import TINY, window_pairs
from benchmarks.window_operations import DENSE, LOCAL, OURS, inputs, prepare, sampled_rows

ROOT = Path(__file__).parents[2]


def test_every_part_is_reported():
    assert set(PARTS + EXTRA + OWN) == set(ORDER)
    assert all(import_module(f"benchmarks.parts.{part}").TITLE for part in ORDER)


@pytest.mark.parametrize("part", ["ragged", "nystrom"])
def test_a_quick_run_measures_and_checks(part, tmp_path):
    assert run_parts((part,), True, tmp_path) == []
    result = load(tmp_path, ORDER)[part]
    assert result["quick"] and result["measures"]
    for group in result["groups"]:
        for row in group["rows"]:
            assert row["error"] is not None and row["error"] <= 1e-5 and row["seconds"]["median"] > 0


def test_sums_of_a_layer(tmp_path):
    assert run_parts(("layer",), True, tmp_path) == []
    result = load(tmp_path, ORDER)["layer"]
    seconds = {row["name"]: row["seconds"]["median"] for row in result["groups"][0]["rows"] if "seconds" in row}
    for dtype in ("float32", "bfloat16"):
        for backend in ("sdpa", "cpp"):
            measure, window = result["measures"][f"layer.{dtype}_{backend}"], f"window attention by {backend}, {dtype}"
            assert ("skipped" in measure) == (window not in seconds)
            if window in seconds:
                assert measure["high"] / 1e3 > seconds[window] + seconds[f"six products, {dtype}"] / 2
    assert "layer.float32_sdpa" in result["measures"] and "median" in result["measures"]["layer.float32_sdpa"]


def test_a_wrong_model_fails_its_part(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.parts.short.share_weights", lambda source, target: None)
    monkeypatch.setattr("benchmarks.models.torch.manual_seed", lambda seed: None)
    run = Run("short")
    run.measure("short.plain.16.roberta", [0.5])
    run.finish(tmp_path)
    assert run_parts(("short",), True, tmp_path) == ["short"]
    result = load(tmp_path, ORDER)["short"]
    assert "no speed is reported" in result["failed"]
    assert not result["measures"] and not result["groups"], "the figures of the run before are still there"


def test_a_part_that_is_killed_leaves_no_figure(tmp_path, monkeypatch):
    def fill(run):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.parts.short.fill", fill)
    with pytest.raises(KeyboardInterrupt):
        run_parts(("short",), True, tmp_path)
    assert load(tmp_path, ORDER)["short"]["failed"] == "it did not finish"


def test_a_failed_part_fails_the_command(monkeypatch):
    monkeypatch.setattr(main_module, "run_parts", lambda parts, quick, folder: list(parts[:1]))
    monkeypatch.setattr(main_module, "write_report", lambda results, pictures: None)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "short", "--quick"])
    with pytest.raises(SystemExit, match="failed, and without any figure: short"):
        main_module.main()


def test_the_command_saves_nothing_in_a_quick_run():
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "benchmarks" / "results").iterdir()}
    command = [sys.executable, "-m", "benchmarks", "million", "--quick", "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"| {LONGFORMER} |" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in (ROOT / "benchmarks" / "results").iterdir()} == before


def test_the_oracle_of_sampled_rows_agrees_with_the_dense_mask():
    for has_global in (True, False):
        x = inputs(TINY, 100, has_global=has_global)
        expected = prepare(DENSE, x)()[:, [0, 1, 50, 99]].double()
        torch.testing.assert_close(sampled_rows(x, [0, 1, 50, 99]), expected, atol=1e-6, rtol=1e-5)


def test_local_attention_is_refused_where_it_computes_something_else():
    with pytest.raises(ValueError, match="no global tokens"):
        prepare(LOCAL, inputs(TINY, 64))
    with pytest.raises(ValueError, match="dropout"):
        prepare(DENSE, inputs(TINY, 64), dropout=0.1)
    assert prepare(OURS, inputs(TINY, 64))().shape == (1, 64, 4, 8)


def test_window_pairs_counts_the_band():
    for tokens, window in ((1, 4), (5, 4), (40, 6), (3, 100)):
        position = torch.arange(tokens)
        assert window_pairs(tokens, window) == ((position[:, None] - position).abs() <= window // 2).sum()


def test_flops_of_a_model_count_its_layers():
    reader = build(LONGFORMER, TINY, 64)
    layer = 4 * TINY.hidden**2 + 2 * TINY.hidden * TINY.intermediate
    band = 2 * TINY.hidden * window_pairs(64, TINY.window)
    assert reader.flops(64) == TINY.layers * 2 * (64 * layer + band)


def test_shared_weights_are_shared():
    theirs, ours = build(THEIR_LONGFORMER, TINY, 64), build(LONGFORMER, TINY, 64)
    share_weights(theirs, ours)
    assert torch.allclose(theirs(document(64)), ours(document(64)), atol=1e-5)
