from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from experiments.retrieval import run
from experiments.retrieval_documents import PAD, Alphabet
from experiments.retrieval_evaluation import wilson
from experiments.retrieval_model import REACH, build_model, inputs
from experiments.retrieval_plot import plot
from experiments.retrieval_training import Plan, train

ALPHABET = Alphabet(keys=24, values=8, filler=16)


def test_every_question_has_one_answer_where_its_distance_says():
    drawn = ALPHABET.draw(np.random.default_rng(0), 40, 64, 6, 24)
    values = 2 + ALPHABET.keys
    assert drawn.ids.shape == (40, 64) and drawn.ids.min() > PAD and drawn.ids.max() < ALPHABET.size
    for row in range(40):
        body = drawn.ids[row, 6:]
        assert sorted(body[body < values]) == list(range(2, values))  # all 24 keys, each once
        for question in range(6):
            place = question + drawn.distances[row, question]
            assert drawn.ids[row, place] == values + drawn.answers[row, question]
            assert drawn.ids[row, place - 1] == drawn.ids[row, question]


def test_pairs_stand_anywhere():
    drawn = ALPHABET.draw(np.random.default_rng(1), 4000, 16, 1, 1)
    places = np.bincount(drawn.distances.reshape(-1), minlength=16)
    assert places[:2].sum() == 0  # the value of a pair that begins right after the question is two away
    assert places[2:].min() > 200  # 286 are expected


def test_no_room_and_too_few_keys_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"pairs must be 1 to 3 .* got 4"):
        ALPHABET.draw(rng, 1, 8, 2, 4)
    with pytest.raises(ValueError, match=r"pairs must be 1 to 24 .* got 25"):
        ALPHABET.draw(rng, 1, 512, 2, 25)


@torch.no_grad()
def test_answers_depend_on_far_tokens_through_globals_alone():
    model = build_model(ALPHABET, 0, width=16).eval()
    drawn = ALPHABET.draw(np.random.default_rng(2), 1, 64, 2, 8)
    changed = {}
    for globals_on in (True, False):
        given = inputs(drawn, globals_on)
        before = model(**given).logits[0, :2]
        given["input_ids"] = given["input_ids"].clone()
        given["input_ids"][0, 2 + REACH :] = ALPHABET.size - 1
        changed[globals_on] = float((model(**given).logits[0, :2] - before).abs().max())
    assert changed[True] > 1e-3 and changed[False] == 0.0


def test_training_lowers_the_loss():
    model = build_model(ALPHABET, 0, width=32)
    facts = train(model, ALPHABET, Plan(lengths=(16,), tokens=512, last_steps=250), seed=0)
    assert facts["steps"] == 250 and facts["stages"][0]["right"] > 0.3  # chance is 0.125


def test_a_stage_that_is_not_solved_is_an_error():
    with pytest.raises(RuntimeError, match=r"16 tokens: .* after 3 steps"):
        train(build_model(ALPHABET, 0, width=16), ALPHABET, Plan(lengths=(16, 32), tokens=64, most_steps=3), seed=0)


def test_the_whole_experiment_at_a_small_size(tmp_path):
    alphabet = Alphabet(keys=16, values=4, filler=8)
    plan = Plan(lengths=(16,), tokens=64, last_steps=2)
    first = run(3, 2, tmp_path, alphabet, plan, plan, plan, lengths=(256, 512))
    again = run(3, 2, tmp_path, alphabet, plan, plan, plan, lengths=(256, 512))
    assert first["training"] == again["training"]  # not trained twice
    for part, same in zip(first["evaluation"], again["evaluation"], strict=True):
        assert part["bins"] == same["bins"]
        assert part["questions"] == 64 == sum(x["questions"] for x in part["bins"])
        assert part["right"] == sum(x["right"] for x in part["bins"])
        assert part["interval"][0] <= part["accuracy"] <= part["interval"][1]
    assert [(x["tokens"], x["globals"]) for x in first["evaluation"]] == [
        (256, True),
        (256, False),
        (512, True),
        (512, False),
    ]
    plot(json.loads(json.dumps(first)), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_wilson():
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
