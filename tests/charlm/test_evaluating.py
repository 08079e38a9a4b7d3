"""Scores of the paper's protocol equal those of plain forwards, in any step, and one pass where it may."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from longspan.charlm.evaluating import evaluate, list_sequences, reach
from longspan.charlm.texts import read_text
from tests._support import peak_mib
from tests.models.causal_cases import build


@pytest.fixture
def text(toy_run):
    return read_text(toy_run[0])[:1500]


@torch.no_grad()
def plain(model, text, length, step, skip=0):
    """Bits per character by the words of the protocol: a forward for each sequence, its last characters scored."""
    ids = torch.from_numpy(text.astype(np.int64))
    losses = []
    first = skip
    while first < len(ids) - 1:
        end = min(len(ids) - 1, length if first == 0 else first + step)
        start = max(0, end - length)
        logits = model(ids[None, start:end]).logits[0, first - start :]
        losses.append(F.cross_entropy(logits, ids[first + 1 : end + 1], reduction="none"))
        first = end
    losses = torch.cat(losses)
    assert len(losses) == len(ids) - 1 - skip
    return float(losses.double().mean()) / math.log(2)


@pytest.mark.parametrize(("length", "step", "skip"), [(100, 30, 0), (100, 100, 0), (60, 7, 250), (4000, 512, 0)])
def test_sequences_equal_plain_forwards(length, step, skip, toy_model, text, monkeypatch):
    monkeypatch.setattr("longspan.charlm.evaluating._PIECE", 37)
    text = text[:500]
    found = evaluate(toy_model, text, length=length, step=step, skip=skip)
    assert found["bits_per_character"] == pytest.approx(plain(toy_model, text, length, step, skip), abs=1e-6)
    assert found["characters"] == 499 - skip


def test_one_pass_where_the_model_reaches_no_further(toy_model, text):
    far = reach(toy_model.config)
    assert far == 16 * 1 + 32 * 2
    once = evaluate(toy_model, text, length=far + 50, step=50)
    assert once["passes"] == 1.0
    assert once["bits_per_character"] == pytest.approx(plain(toy_model, text, far + 50, 50), abs=1e-6)
    often = evaluate(toy_model, text, length=far + 49, step=50)
    assert often["passes"] > 2
    assert often["bits_per_character"] == pytest.approx(once["bits_per_character"], abs=1e-3)
    whole = evaluate(toy_model, text, length=None)
    assert whole["bits_per_character"] == pytest.approx(once["bits_per_character"], abs=1e-9)


def test_a_longer_context_helps_to_guess(toy_model, text):
    scores = [evaluate(toy_model, text[:600], length=n, step=8, skip=128)["bits_per_character"] for n in (8, 16, 136)]
    assert scores[0] > scores[1] > scores[2]


def test_every_character_is_scored_once():
    for skip, stop, length, step in ((0, 1000, 300, 70), (5, 64, 30, 30), (0, 20, 300, 70), (299, 1000, 300, 70)):
        scored = []
        for sequence in list_sequences(skip, stop, length, step):
            assert 0 <= sequence.start <= sequence.first < sequence.stop and sequence.stop - sequence.start <= length
            # the whole context, but where the text begins
            assert sequence.start == max(0, sequence.stop - length)
            scored += range(sequence.first, sequence.stop)
        assert scored == list(range(skip, stop))


def test_the_limit_and_who_is_told(toy_model, text):
    told = []
    found = evaluate(toy_model, text, length=100, step=40, limit=230, on_characters=lambda *at: told.append(at))
    assert found["characters"] == 230 and told[-1] == (230, 230)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_memory_does_not_grow_with_the_text():
    setup = """
import numpy as np
from longspan.charlm.evaluating import evaluate
from tests.charlm.toys import SETTINGS, STAGES
from longspan.charlm.objective import build_model
from longspan.charlm.settings import make_settings
model = build_model(make_settings(SETTINGS, STAGES, {}))
text = np.random.default_rng(0).integers(0, 256, 40_000).astype(np.uint8)
evaluate(model, text[:5_000], length=None)
"""
    work = "evaluate(model, text[:{}], length=None)"
    short, long = peak_mib(setup, work.format(8_000), work.format(40_000))
    assert long < short + 4, (short, long)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 10, "step": 11}, "at most length, got step 11 and length 10"),
        ({"step": 0}, "step must be at least 1"),
        ({"skip": -1}, "skip and limit must not be negative, got -1 and 0"),
        ({"skip": 1499}, "a text of 1,500 characters leaves none to score after skip = 1,499"),
    ],
)
def test_arguments_that_are_refused(options, message, toy_model, text):
    with pytest.raises(ValueError, match=message):
        evaluate(toy_model, text, **options)


def test_a_model_of_other_tokens_is_refused(text):
    with pytest.raises(ValueError, match="must predict 256 characters, got one of 50 tokens"):
        evaluate(build(), text)
