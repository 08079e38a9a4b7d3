"""A toy end to end: it learns, its result is complete, a run is not run twice and refuses another one's folder."""

import json
import os

import numpy as np
import pytest
import torch

from longspan.charlm import run
from longspan.charlm.evaluating import evaluate
from longspan.charlm.objective import NextCharacters, build_model, make_optimizers
from longspan.charlm.run import train
from longspan.charlm.settings import make_settings
from longspan.charlm.texts import read_text, split_text
from longspan.tasks.examples import DataError
from longspan.train.identity import DifferentRun
from longspan.train.lock import BusyRun, hold
from tests.charlm.toys import SETTINGS, STAGES, make_recipe, write_text

TAUGHT = 1.15
"""Bits per character of held-out text that the toy has to stay under; its single characters have an entropy of 3.9."""


def test_a_toy_learns(toy_run, toy_model):
    path, folder, result = toy_run
    held_out = split_text(read_text(path))["test"]
    counts = np.bincount(held_out)
    shares = counts[counts > 0] / len(held_out)
    assert -(shares * np.log2(shares)).sum() > 3.9
    found = evaluate(toy_model, held_out)
    assert found["bits_per_character"] < TAUGHT, found
    assert result == json.loads((folder / "result.json").read_text())
    assert result["steps"] == 120 and [line["step"] for line in result["stages"]] == [90, 120]
    assert result["stages"][1]["bits_per_character"] < result["stages"][0]["bits_per_character"]
    assert result["bits_per_character"]["validation"] == result["stages"][1]["bits_per_character"]
    assert result["characters"] == {"train": 54_000, "validation": 3_000, "test": 3_000}
    assert result["commit"] and result["hardware"] and result["peak_memory_bytes"] > 2**20
    assert toy_model.config.attention_window == [32, 64]


def test_a_finished_run_is_not_run_again(toy_run, monkeypatch):
    path, folder, result = toy_run
    monkeypatch.setattr("longspan.charlm.run.make_trainer", None)
    assert train(make_recipe(), path, folder) == result
    with pytest.raises(ValueError, match=r"width was 32, is 16; seed was 0, is 1"):
        train(make_recipe(), path, folder, changes={"width": 16}, seed=1)


def test_a_text_that_changed_is_another_run(tmp_path):
    stages = [{**STAGES[0], "steps": 2}]
    path = write_text(tmp_path / "text", 4000)
    train(make_recipe(stages), path, tmp_path / "run")
    (tmp_path / "run/result.json").unlink()  # as if it had been killed
    path.write_text(path.read_text().swapcase())
    with pytest.raises(ValueError, match=r"data was .*4,000 bytes.*, is .*4,000 bytes"):
        train(make_recipe(stages), path, tmp_path / "run")


@pytest.mark.parametrize("steps", [1, 4])
def test_a_run_that_diverged_has_no_model(steps, tmp_path):
    stages = [{**STAGES[0], "steps": steps, "lr": 1e30}]
    with pytest.raises(ValueError, match="is nan: the training diverged; begin anew with a lower learning rate"):
        train(make_recipe(stages), write_text(tmp_path / "text", 4000), tmp_path / "run")
    assert not (tmp_path / "run/result.json").exists() and not (tmp_path / "run/model").exists()


def test_the_stages_have_their_lengths_windows_and_places():
    settings = make_settings(SETTINGS, STAGES, {})
    text = np.arange(1000).astype(np.uint8)

    class Model(torch.nn.Module):
        device = torch.device("cpu")

        def __init__(self):
            super().__init__()
            self.config = type("Config", (), {"attention_window": None})()
            self.read, self.windows = [], []

        def set_attention_window(self, window):
            self.config.attention_window = window

        def forward(self, ids):
            self.read.append(ids)
            self.windows.append(self.config.attention_window)
            return type("Output", (), {"logits": torch.zeros(*ids.shape, 256)})()

    model = Model()
    objective = NextCharacters(model, text, settings, seed=3)
    losses = [objective(step) for step in (0, 89, 90, 0)]
    assert [x.shape for x in model.read] == [(16, 64), (16, 64), (8, 128), (16, 64)]
    assert model.windows == [[16, 32], [16, 32], [32, 64], [16, 32]]
    assert torch.equal(model.read[0], model.read[3]) and not torch.equal(model.read[0], model.read[1])
    assert all(float(loss) == pytest.approx(np.log(256)) for loss in losses)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_matrices_alone_are_decayed(optimizer):
    settings = make_settings({**SETTINGS, "optimizer": optimizer, "weight_decay": 0.3}, STAGES, {})
    model = build_model(settings)
    optimizers = make_optimizers(model, settings)
    decays = {id(p): group["weight_decay"] for o in optimizers for group in o.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    assert set(decays) == {id(p) for p in named.values()}
    for name, p in named.items():
        assert decays[id(p)] == (0.3 if p.ndim == 2 and "embeddings" not in name else 0.0), name


def test_bfloat16_is_near():
    text = np.random.default_rng(0).integers(0, 256, 2000).astype(np.uint8)
    losses = []
    for bf16 in (False, True):
        settings = make_settings({**SETTINGS, "bf16": bf16}, STAGES, {})
        torch.manual_seed(0)
        loss = NextCharacters(build_model(settings), text, settings, seed=0)(100)
        loss.backward()
        losses.append(float(loss.detach()))
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], abs=0.02)


def test_a_second_command_leaves_the_first_alone(toy_run, tmp_path):
    writing = tmp_path / "run" / ".writing-checkpoint.pt"
    writing.parent.mkdir()
    writing.touch()
    with hold(tmp_path / "run"), pytest.raises(BusyRun, match=f"in use by process {os.getpid()}"):
        train(make_recipe(), toy_run[0], tmp_path / "run")
    assert writing.exists()


def test_a_run_that_another_command_has_begun_meanwhile(tmp_path, monkeypatch):
    recipe, text, make = make_recipe(), write_text(tmp_path / "words.txt", 4000), run.make_trainer

    def begin_first(*arguments):
        (tmp_path / "run").mkdir()
        (tmp_path / "run/run.json").write_text('{"seed": 0}')
        return make(*arguments)

    monkeypatch.setattr(run, "make_trainer", begin_first)
    with pytest.raises(DifferentRun, match="seed"):
        train(recipe, text, tmp_path / "run", seed=1, device="cpu")
    assert json.loads((tmp_path / "run/run.json").read_text()) == {"seed": 0}


def test_texts_that_are_refused(tmp_path):
    path = write_text(tmp_path / "text", 1000)
    with pytest.raises(ValueError, match="length of a stage must be below the 900 characters of the training part"):
        train(make_recipe([{**STAGES[0], "length": 900}]), path, tmp_path / "run")
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        train(make_recipe(), path, tmp_path / "run", seed=-1)
    recipe = make_recipe()
    object.__setattr__(recipe, "characters", 10**8)
    with pytest.raises(DataError, match="toy is for a text of 100,000,000 characters, this one has 1,000"):
        train(recipe, path, tmp_path / "run")
    with pytest.raises(ValueError, match="device 'abacus' cannot be used here"):
        train(make_recipe(), write_text(path), tmp_path / "run", device="abacus")
    assert not (tmp_path / "run").exists()
