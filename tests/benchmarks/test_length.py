"""Length: a model stops at its first failure, and at a length that the shorter ones show to be out of reach."""

import pytest

from benchmarks.models import LONGFORMER, ROBERTA
from benchmarks.parts import length
from benchmarks.results import Run


@pytest.fixture
def tried(monkeypatch):
    """Replaces the processes: RoBERTa takes quadratic time, longspan linear, and every other model fails at 16,384."""
    calls = []

    def fresh(case, arguments, **limits):
        name, tokens = arguments["name"], arguments["tokens"]
        calls.append((name, tokens))
        if name not in (LONGFORMER, ROBERTA) and tokens > 4096:
            return {"stopped": "out of memory"}
        seconds = tokens / 8192 if name == LONGFORMER else 4 * (tokens / 4096) ** 2
        peak = 10**8 + tokens * 768 * 4 * 2
        return {"seconds": seconds, "warm_seconds": [1.0, 0.5, 0.25], "peak_bytes": peak, "error": 1e-7}

    monkeypatch.setattr(length, "fresh", fresh)
    return calls


def test_each_model_goes_on_until_it_breaks(tried):
    run = Run("length")
    length.fill(run)
    rows = {(row["name"], row["tokens"]): row for row in run.groups[0]["rows"]}
    assert rows[LONGFORMER, 262_144]["seconds"] == 32
    assert rows[ROBERTA, 16_384]["seconds"] == 64 and rows[ROBERTA, 16_384]["error"] == 1e-7
    # 64 s at 16,384, at a cost per token that grows fourfold with each step
    assert rows[ROBERTA, 65_536]["stopped"] == "patience: would take about 1,024 s, over 600 s"
    assert (ROBERTA, 65_536) not in tried and (ROBERTA, 262_144) not in rows
    for name in set(length.NAMES) - {LONGFORMER, ROBERTA}:
        assert rows[name, 16_384]["stopped"] == "out of memory" and (name, 65_536) not in rows
    assert run.measures["length.longformer.states"]["median"] == pytest.approx(2.0)
    assert "length.nystromformer.states" not in run.measures


def test_a_long_pass_is_compared_with_the_short_ones_but_the_first(tried):
    run = Run("long")
    row = length.single(run, LONGFORMER, "long.longformer", 131_072, 12, seconds=1)
    assert row["seconds"] == 16 and row["short_seconds"] == 0.375
    # 16 s for 32 times the tokens: 0.5 s for 4,096, where the passes took 0.5 and 0.25 s
    assert run.measures["long.longformer.cost"]["median"] == pytest.approx(1.5)
    assert run.measures["long.longformer.memory"]["median"] == pytest.approx(0.1 + 131_072 * 6144 / 1e9)


def test_a_long_pass_that_fails_leaves_its_reason(tried):
    run = Run("long")
    row = length.single(run, length.BIGBIRD, "long.bigbird", 131_072, 12, seconds=1)
    assert row["stopped"] == "out of memory"
    assert run.measures["long.bigbird.memory"] == run.measures["long.bigbird.cost"] == {"skipped": "out of memory"}
