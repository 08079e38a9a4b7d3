"""Checkpoints and configurations, both ways between longspan and transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file

import longspan
from longspan import LongformerConfig, LongformerForMaskedLM, LongformerModel
from tests._support import run_python, uninitialized_is_nan
from tests.models.longformer_cases import (
    BASE,
    CLASSES,
    MASKED_LM,
    QUESTION,
    SEQUENCE,
    TOKEN,
    assert_same,
    batch,
    build,
    config,
    fields,
    scatter,
)


def load(name: str, module: Any, directory: Path) -> Any:
    """The model of a directory that holds all its weights and no others."""
    model, found = getattr(module, name).from_pretrained(directory, output_loading_info=True)
    assert not any(found.values()), found
    return model.eval()


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("tied", [True, False])
def test_keys_of_the_state_dict(name: str, tied: bool) -> None:
    ours = getattr(longspan, name)(config(tie_word_embeddings=tied)).state_dict()
    theirs = getattr(transformers, name)(transformers.LongformerConfig(**fields(tie_word_embeddings=tied))).state_dict()
    assert {key: x.shape for key, x in ours.items()} == {key: x.shape for key, x in theirs.items()}


@pytest.mark.parametrize("name", CLASSES)
def test_what_transformers_saved_loads(name: str, tmp_path: Path) -> None:
    theirs = getattr(transformers, name)(transformers.LongformerConfig(**fields(name=name))).eval()
    scatter(theirs)
    theirs.save_pretrained(tmp_path)
    ours = load(name, longspan, tmp_path)
    rows = batch([19, 11], "first")
    for key, x in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], x), key
    assert_same(ours(**rows.inputs(name)), theirs(**rows.inputs(name)), rows.valid)


@pytest.mark.parametrize("name", CLASSES)
def test_what_longspan_saved_loads_in_transformers(name: str, tmp_path: Path) -> None:
    ours = build(name)
    ours.save_pretrained(tmp_path)
    theirs = load(name, transformers, tmp_path)
    again = load(name, longspan, tmp_path)
    rows = batch([19, 11], "first")
    for key, x in ours.state_dict().items():
        assert torch.equal(theirs.state_dict()[key], x) and torch.equal(again.state_dict()[key], x), key
    assert_same(theirs(**rows.inputs(name)), ours(**rows.inputs(name)), rows.valid)


def test_the_position_ids_of_old_checkpoints_are_ignored(tmp_path: Path) -> None:
    """allenai/longformer-base-4096 was saved when the column numbers were a buffer."""
    model = build(TOKEN)
    model.save_pretrained(tmp_path)
    old = {**model.state_dict(), "longformer.embeddings.position_ids": torch.arange(260)[None]}
    build(TOKEN, seed=1).load_state_dict(old, strict=True)
    save_file(old, tmp_path / "model.safetensors", {"format": "pt"})
    assert torch.equal(load(TOKEN, longspan, tmp_path).classifier.weight, model.classifier.weight)


def test_sharded_and_half(tmp_path: Path) -> None:
    model = build(TOKEN)
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    load(TOKEN, longspan, tmp_path)
    half = longspan.LongformerForTokenClassification.from_pretrained(tmp_path, dtype=torch.float16)
    assert all(p.dtype == torch.float16 for p in half.parameters())
    assert half(**batch([9]).inputs(TOKEN)).logits.dtype == torch.float16


@pytest.mark.parametrize("window", [8, [4, 10], 0, [3, 0]])
def test_attention_window_is_saved_as_given(window: int | list[int], tmp_path: Path) -> None:
    given = list(window) if isinstance(window, list) else window
    model = LongformerModel(config(attention_window=given))
    model(**batch([9]).inputs(BASE))
    model.save_pretrained(tmp_path)
    assert given == window
    assert json.loads((tmp_path / "config.json").read_text())["attention_window"] == window
    assert LongformerModel.from_pretrained(tmp_path).config.attention_window == window


def test_configuration_of_the_caller_is_not_changed() -> None:
    given = config(attention_window=8)
    before = given.to_dict()
    for name in CLASSES:
        getattr(longspan, name)(given)
    assert given.to_dict() == before and given.attention_window == 8


def test_config_json_both_ways(tmp_path: Path) -> None:
    changes = fields(num_labels=3, problem_type="regression", layer_norm_eps=1e-5, hidden_act="gelu_new")
    transformers.LongformerConfig(**changes).save_pretrained(tmp_path / "theirs")
    longspan.LongformerConfig(**changes).save_pretrained(tmp_path / "ours")
    theirs, ours = (json.loads((tmp_path / side / "config.json").read_text()) for side in ("theirs", "ours"))
    assert ours == theirs
    loaded = LongformerConfig.from_pretrained(tmp_path / "theirs")
    known = transformers.LongformerConfig.from_pretrained(tmp_path / "ours")
    assert json.loads(loaded.to_json_string()) == ours
    assert json.loads(known.to_json_string()) == theirs


def test_defaults_are_those_of_transformers() -> None:
    ours, theirs = LongformerConfig().to_dict(), transformers.LongformerConfig().to_dict()
    assert ours == theirs


def test_position_period_reaches_config_json_only_when_set(tmp_path: Path) -> None:
    config().save_pretrained(tmp_path / "plain")
    assert "position_period" not in (tmp_path / "plain" / "config.json").read_text()
    build(TOKEN, position_period=16).save_pretrained(tmp_path / "set")
    assert json.loads((tmp_path / "set" / "config.json").read_text())["position_period"] == 16
    assert load(TOKEN, longspan, tmp_path / "set").config.position_period == 16
    assert load(TOKEN, transformers, tmp_path / "set").config.position_period == 16  # a field that it does not read
    assert LongformerConfig.from_pretrained(tmp_path / "plain").position_period is None


def test_a_head_that_the_checkpoint_lacks_is_new_and_finite(tmp_path: Path) -> None:
    build(BASE).save_pretrained(tmp_path)
    with uninitialized_is_nan():
        model = LongformerForMaskedLM.from_pretrained(tmp_path)
    assert not model.lm_head.bias.any() and not model.lm_head.decoder.bias.any()
    assert torch.equal(model.lm_head.layer_norm.weight, torch.ones(16))
    for name in (SEQUENCE, QUESTION, TOKEN):
        model = getattr(longspan, name).from_pretrained(tmp_path)
        assert all(p.isfinite().all() and p.abs().max() < 10 for p in model.parameters())


def test_a_base_model_reads_the_encoder_of_a_head(tmp_path: Path) -> None:
    head = build(TOKEN)
    head.save_pretrained(tmp_path)
    base = LongformerModel.from_pretrained(tmp_path, add_pooling_layer=False)
    for key, x in base.state_dict().items():
        assert torch.equal(x, head.state_dict()[f"longformer.{key}"]), key


def test_tied_embeddings(tmp_path: Path) -> None:
    model = build(MASKED_LM)
    words = model.get_input_embeddings()
    assert model.get_output_embeddings().weight is words.weight
    assert model.lm_head.decoder.bias is model.lm_head.bias
    model.save_pretrained(tmp_path)
    again = load(MASKED_LM, longspan, tmp_path)
    assert again.lm_head.decoder.weight is again.get_input_embeddings().weight
    untied = build(MASKED_LM, tie_word_embeddings=False)
    assert untied.lm_head.decoder.weight is not untied.get_input_embeddings().weight


@pytest.mark.parametrize("tied", [True, False])
def test_resized_embeddings_survive_saving(tied: bool, tmp_path: Path) -> None:
    model = build(MASKED_LM, tie_word_embeddings=tied)
    before = model(**batch([9]).inputs(MASKED_LM)).logits
    model.resize_token_embeddings(71, mean_resizing=False)
    assert model.config.vocab_size == 71
    after = model(**batch([9]).inputs(MASKED_LM)).logits
    assert after.shape[-1] == 71
    torch.testing.assert_close(after[..., :60], before)
    model.save_pretrained(tmp_path)
    again = load(MASKED_LM, longspan, tmp_path)
    torch.testing.assert_close(again(**batch([9]).inputs(MASKED_LM)).logits, after)
    model(torch.full((1, 3), 70))


def test_auto_classes_after_registering(tmp_path: Path) -> None:
    build(MASKED_LM).save_pretrained(tmp_path)
    code = """
import sys, transformers, longspan
names = {"AutoModel": "LongformerModel", "AutoModelForPreTraining": "LongformerForMaskedLM"}
heads = "MaskedLM", "SequenceClassification", "MultipleChoice", "TokenClassification", "QuestionAnswering"
names.update({f"AutoModelFor{head}": f"LongformerFor{head}" for head in heads})
for module in (transformers, longspan):
    if module is longspan:
        longspan.register()
        longspan.register()
    for auto, name in names.items():
        found = type(getattr(transformers, auto).from_pretrained(sys.argv[1]))
        assert found is getattr(module, name), (auto, found)
    assert type(transformers.AutoConfig.from_pretrained(sys.argv[1])) is module.LongformerConfig
"""
    run_python(code, str(tmp_path))
