"""The recipe of the contract model, from contracts to a scored checkpoint: from nothing, and from its encoder."""

import json

import numpy as np
import pytest

from longspan.models.longformer import LongformerForMaskedLM, LongformerForTokenClassification
from longspan.tasks.cuad import CATEGORIES, Contract
from longspan.tasks.passages import Passage
from longspan.train import contracts as recipe
from longspan.train import pretraining

SHAPE = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 32,
    "attention_window": 8,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (recipe, pretraining):
        monkeypatch.setattr(module, "SHAPE", SHAPE)
        monkeypatch.setattr(module, "LOOKS", ((1,), (0,)))
        monkeypatch.setattr(module, "VOCABULARY", 300)


@pytest.fixture(scope="module")
def contracts():
    made = []
    for i in range(6):
        text = (
            f"SUPPLY AGREEMENT number {i}\n\nThis Agreement is governed by the laws of Ohio. " + "Nothing else. " * 40
        )
        title, law = "SUPPLY AGREEMENT", "This Agreement is governed by the laws of Ohio."
        marks = [(c, title) for c in CATEGORIES[:6]] + [(c, law) for c in (*CATEGORIES[6:], "Warranty Duration")]
        passages = tuple(Passage(c, text.index(s), text.index(s) + len(s)) for c, s in marks)
        made.append(Contract(f"{i}.txt", ("train", "train", "train", "train", "validation", "test")[i], text, passages))
    return made


def test_the_recipe_runs_from_contracts_to_a_checkpoint(contracts, tmp_path):
    pytest.importorskip("sklearn")
    trainer = recipe.train(contracts, recipe.parse(["--out", str(tmp_path), "--steps", "2"]))
    assert trainer.step == 2
    results = recipe.evaluate(contracts, tmp_path / "model", test=True)
    assert set(results["test"]) == {"model", "sentences", "patterns"}
    assert set(results["validation"]["model"]) == {*CATEGORIES, "mean"}
    assert json.loads((tmp_path / "model" / "decoding.json").read_text()).keys() == set(CATEGORIES)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["position_period"] == recipe.PERIOD and config["dtype"] == "float16"
    assert list(config["id2label"].values()) == recipe.LABELS


def test_the_recipe_goes_on_from_a_pretrained_encoder(contracts, tmp_path):
    pytest.importorskip("sklearn")
    encoder, out = tmp_path / "encoder", tmp_path / "run"
    arguments = ["--data", "unused", "--out", str(encoder), "--steps", "3"]
    for folder in (encoder, out):
        folder.mkdir()
    results = pretraining.pretrain(contracts, pretraining.parse(arguments))
    assert results["steps"] == 3 and np.isfinite(results["validation_loss"])
    words = LongformerForMaskedLM.from_pretrained(encoder / "model").get_input_embeddings().weight
    arguments = ["--out", str(out), "--encoder", str(encoder / "model"), "--steps", "1", "--rate", "0"]
    trainer = recipe.train(contracts, recipe.parse([*arguments, "--guesses", "0.2", "--teacher", "0.3"]))
    assert trainer.objective.lm_head is not None
    assert trainer.objective.model.classifier.out_features == len(recipe.LABELS) * 3 // 2 + 1 + len(CATEGORIES)
    # Nothing was learnt at rate 0: the shipped weights are the encoder's.
    shipped = LongformerForTokenClassification.from_pretrained(out / "model")
    assert np.allclose(shipped.get_input_embeddings().weight.float().detach(), words.detach(), atol=1e-3)
    assert (out / "model" / "tokenizer.json").read_bytes() == (encoder / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("module", [recipe, pretraining])
@pytest.mark.parametrize("given", ["0", "-1", "2.5", "many"])
def test_threads_are_one_or_more(module, given, capsys):
    assert module.parse(["--threads", "3"]).threads == 3
    with pytest.raises(SystemExit):
        module.parse(["--threads", given])
    assert f"--threads: must be a whole number of at least 1, got '{given}'" in capsys.readouterr().err


def test_folds_divide_the_training_contracts(contracts):
    everything = [c.name for c in contracts if c.part == "train"]
    left_out = []
    for fold in range(recipe.FOLDS):
        learnt, out = recipe.split(contracts, fold)
        assert sorted(c.name for c in learnt + out) == everything
        left_out += [c.name for c in out]
    assert sorted(left_out) == everything
    assert recipe.split(contracts, None) == ([c for c in contracts if c.part == "train"], [])


def test_rules_come_from_contracts_that_the_folds_left_out(contracts, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    runs = [tmp_path / "0", tmp_path / "1"]
    for fold, run in enumerate(runs):
        run.mkdir()
        recipe.train(contracts, recipe.parse(["--out", str(run), "--steps", "1", "--fold", str(fold)]))
    seen, tuned = {}, []
    from longspan.train import evaluation, tuning

    read, tune = evaluation.read_examples, tuning.tune

    def spy_read(folder, chosen):
        seen[folder.parent.name] = [c.name for c in chosen]
        return read(folder, chosen)

    def spy_tune(groups, examples):
        tuned.append(len(examples))
        return tune(groups, examples)

    monkeypatch.setattr(evaluation, "read_examples", spy_read)
    monkeypatch.setattr(tuning, "tune", spy_tune)
    results = recipe.evaluate(contracts, runs[0] / "model", cross=runs)
    assert seen == {"0": ["0.txt", "2.txt"], "1": ["1.txt", "3.txt"]} and tuned == [4]
    assert results["validation"]["model"]["mean"]["f1"] >= 0
