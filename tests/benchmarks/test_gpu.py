"""The GPU benchmark at tiny sizes on the CPU: what can run here runs and is right, and nothing is saved."""

import json

import pytest
import torch

from benchmarks import gpu, gpu_checks, gpu_models, gpu_parts
from benchmarks.gpu_clock import Case, Clock
from benchmarks.results import RESULTS
from longspan.ops.window import sdpa

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")


@pytest.fixture(scope="module")
def result():
    return gpu.measure(CPU, True)


def test_what_runs_here_is_right(result):
    assert not result["left_out"] and result["matrix_tflops"] > 0 and result["device"] == "CPU"
    for row in result["checks"]:
        assert ("skipped" in row) == (row["backend"] == "flash_varlen")
        assert row.get("passed", True)
        assert ("no_gradients" in row) == (row["backend"] == "flex_attention")
    assert {row["dtype"] for row in result["checks"]} == {"float32", "bfloat16"}


def test_every_contender_has_a_speed_or_a_reason(result):
    missing = {(row["part"], row["name"]): row["skipped"] for row in result["rows"] if "skipped" in row}
    parts = {row["part"] for row in result["rows"]}
    assert len(parts) == 5
    expected = {(part, "longspan, flash_varlen"): "runs on CUDA" for part in parts}
    training = ("attention, one global token, forward and backward", "model, training step")
    expected |= {(part, "longspan, flex_attention"): "no gradients on a CPU" for part in training}
    expected[training[0], gpu_parts.FLEX] = "does not support backward on CPU"
    assert missing.keys() == expected.keys()
    assert all(expected[key] in why for key, why in missing.items())
    for row in result["rows"]:
        if "skipped" not in row:
            assert row["seconds"]["median"] > 0 and row["error"] < 1e-5
            trained = row["part"] in training
            assert ("gradient_error" in row) == trained and row.get("gradient_error", 0) < 1e-4


def test_no_gpu_no_verified_backend_and_no_file(result, capsys, monkeypatch):
    assert result["verified"] == {}
    before = sorted(RESULTS.iterdir())
    monkeypatch.setattr(gpu, "measure", lambda device, quick: result)
    gpu.main(["--quick"])
    assert sorted(RESULTS.iterdir()) == before
    shown = capsys.readouterr().out
    for row in result["rows"]:
        assert f"| {row['part']} | {row['tokens']} | {row['name']} |" in shown
    assert "Left out for want of time: nothing" in shown
    assert result["goals"] == [] and "No GPU figure is claimed" in shown
    assert "reached" not in shown and "missed" not in shown


def test_without_a_gpu_there_is_no_figure(capsys):
    with pytest.raises(SystemExit, match="without a GPU there is no GPU figure") as exit_:
        gpu.main([])
    assert exit_.value.code != 0 and not capsys.readouterr().out


def test_a_wrong_backend_fails_the_run(monkeypatch, capsys, result):
    right = sdpa.window_attention

    def narrower(query, key, value, left, *rest):
        return right(query, key, value, left - 1, *rest)

    monkeypatch.setitem(gpu_checks.sliding_window_attention.__globals__["_FUNCTIONS"], "sdpa", narrower)
    rows = list(gpu_checks.check_backend("sdpa", CPU, True))
    assert len(rows) == 6 and not any(row["passed"] for row in rows)
    monkeypatch.setattr(gpu, "measure", lambda device, quick: {**result, "checks": rows})
    with pytest.raises(SystemExit, match="wrong: sdpa, float32, window; sdpa, float32, causal"):
        gpu.main(["--quick"])
    assert "WRONG" in capsys.readouterr().out
    case = gpu_parts._attention_case("longspan, sdpa", gpu_parts.inputs(gpu.sizes(True), 256), False)
    with pytest.raises(RuntimeError, match="no speed is reported"):
        case.check()


def test_a_peer_with_wrong_gradients_gets_no_training_time(monkeypatch):
    x = gpu_parts.inputs(gpu.sizes(True), 256, grad=True)
    right = gpu_parts._attention(gpu_parts.CHUNKS, x)

    def half(name, x):
        # the same output, half the gradient
        return lambda: (right() + right().detach()) / 2

    monkeypatch.setattr(gpu_parts, "_attention", half)
    assert gpu_parts._attention_case(gpu_parts.CHUNKS, x, False).check()["error"] < 1e-5
    with pytest.raises(RuntimeError, match=r"off by 5.*no speed is reported"):
        gpu_parts._attention_case(gpu_parts.CHUNKS, x, True).check()


def test_a_model_with_wrong_gradients_gets_no_training_time(monkeypatch):
    models = gpu_models.Models(gpu.sizes(True), 512, CPU, torch.float32)
    name, theirs, _, _ = models.contenders[-2]
    models.contenders = models.contenders[-2:]
    loss = gpu_models._loss

    def wrong(model, ids):
        for layer in theirs.encoder.layer:  # the same output, without the keys' gradients
            layer.attention.self.key.weight.requires_grad_(False)
        return loss(model, ids)

    monkeypatch.setattr(gpu_models, "_loss", wrong)
    clock = Clock(CPU, True, 600.0)
    models.measure(clock, 256)
    monkeypatch.setattr(gpu_models, "_loss", loss)
    models.measure(clock, 512)  # once wrong, there is none at any length
    training = [row for row in clock.rows if row["part"] == "model, training step"]
    assert len(training) == 4
    for row in training:
        if row["name"] == name:
            assert "seconds" not in row and "no speed is reported" in row["skipped"]
        else:
            assert row["seconds"]["median"] > 0 and row["gradient_error"] < 1e-4
    assert all("seconds" in row for row in clock.rows if row["part"] == "model, forward")


def test_gradients_are_compared_kind_by_kind():
    expected = {"a": torch.tensor([300.0, 400.0]), "b": torch.tensor([0.5])}
    assert gpu_models.gradient_error({"a": torch.tensor([300.0, 450.0]), "b": torch.tensor([0.5])}, expected) == 0.1
    assert gpu_models.gradient_error({"a": expected["a"], "b": torch.tensor([0.4])}, expected) == pytest.approx(0.2)
    assert gpu_models.gradient_error({"a": expected["a"]}, expected) == float("inf")
    found = gpu_models.gradient_error({"a": torch.tensor([3.0, float("nan")]), "b": expected["b"]}, expected)
    assert not found <= gpu_models.GRADIENT_TOLERANCE


def test_a_backend_that_breaks_fails_the_run_and_the_rest_goes_on(monkeypatch, capsys, result):
    def broken(*arguments):
        raise RuntimeError("no kernel image\nand a long trace")

    monkeypatch.setitem(gpu_checks.sliding_window_attention.__globals__["_FUNCTIONS"], "sdpa", broken)
    rows = list(gpu_checks.check_backend("sdpa", CPU, True))
    assert len(rows) == 6 and all(row["broke"] == "RuntimeError: no kernel image" for row in rows)
    assert not gpu._verified(rows, "sdpa")
    monkeypatch.setattr(gpu, "measure", lambda device, quick: {**result, "checks": rows})
    with pytest.raises(SystemExit, match="wrong: sdpa"):
        gpu.main(["--quick"])
    assert "WRONG. RuntimeError: no kernel image" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"passed": True}, True),
        ({"passed": False}, False),
        ({"passed": True, "no_gradients": "none"}, False),
        ({"skipped": "no such dtype"}, False),
    ],
)
def test_verified_is_what_passed_with_gradients(row, expected):
    rows = [{"backend": "sdpa", "passed": False}, {"backend": "flex_attention", **row}]
    assert gpu._verified(rows, "flex_attention") is expected
    assert gpu._verified([*rows, {"backend": "flex_attention", "skipped": "float64"}], "flex_attention") is expected


def test_what_the_budget_does_not_reach_is_named():
    clock = Clock(CPU, True, -1.0)
    clock.measure("part", 8, "name", lambda: pytest.fail("it was begun"))
    assert clock.left_out == ["part, 8 tokens, name"] and not clock.rows


def test_a_contender_that_breaks_says_why():
    def work():
        raise torch.OutOfMemoryError("1 TiB")

    clock = Clock(CPU, True, 60.0)
    clock.measure("part", 8, "name", lambda: Case(work, lambda: {"error": 0.0}))
    assert clock.rows == [
        {
            "part": "part",
            "tokens": 8,
            "name": "name",
            "error": 0.0,
            "skipped": "OutOfMemoryError: 1 TiB",
        }
    ]


def test_the_result_is_saved_as_json(result, tmp_path):
    assert json.loads(gpu.save(result, tmp_path).read_text(encoding="utf-8"))["rows"] == result["rows"]
