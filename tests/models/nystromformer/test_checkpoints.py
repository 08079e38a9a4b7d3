"""Checkpoints and config.json go both ways between longspan and transformers."""

import json
import logging

import pytest
import torch
import transformers
from transformers.models.nystromformer import modeling_nystromformer as peer_module

from longspan.models import nystromformer
from longspan.models.nystromformer import NystromformerConfig, NystromformerForMaskedLM
from tests._support import uninitialized_is_nan
from tests.models.nystromformer.support import (
    HEADS,
    LENGTH,
    assert_close,
    make,
    make_ids,
    make_pair,
    predictions,
    small,
)


@pytest.mark.parametrize("head", HEADS)
def test_state_dict_keys_are_the_same(head):
    ours, peer = make_pair(head)
    assert list(sorted(ours.state_dict())) == list(sorted(peer.state_dict()))
    ours.load_state_dict(peer.state_dict(), strict=True)
    peer.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("head", HEADS)
def test_saved_by_one_and_loaded_by_the_other(head, tmp_path):
    name = f"Nystromformer{head}"
    ours, peer = make_pair(head)
    ids = make_ids(1, 1, LENGTH) if head == "ForMultipleChoice" else make_ids(1, LENGTH)
    for writer, reader in ((peer, getattr(nystromformer, name)), (ours, getattr(peer_module, name))):
        directory = tmp_path / reader.__module__
        writer.save_pretrained(directory)
        model, report = reader.from_pretrained(directory, output_loading_info=True)
        assert not any(report.values()), report
        for (key, actual), expected in zip(
            predictions(model.eval()(ids)).items(), predictions(writer(ids)).values(), strict=True
        ):
            assert_close(actual, expected), key
        for key, value in writer.state_dict().items():
            assert torch.equal(model.state_dict()[key], value)


def test_sharded_checkpoints(tmp_path):
    model = make("ForMaskedLM")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    again = NystromformerForMaskedLM.from_pretrained(tmp_path)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_a_base_checkpoint_loads_into_a_head_and_back(tmp_path):
    make().save_pretrained(tmp_path / "base")
    head = nystromformer.NystromformerForTokenClassification.from_pretrained(tmp_path / "base")
    assert torch.equal(head.nystromformer.embeddings.word_embeddings.weight, make().embeddings.word_embeddings.weight)
    head.save_pretrained(tmp_path / "head")
    base = nystromformer.NystromformerModel.from_pretrained(tmp_path / "head")
    assert torch.equal(
        base.encoder.layer[1].output.dense.weight, head.nystromformer.encoder.layer[1].output.dense.weight
    )


def test_constants_of_old_checkpoints_do_not_hinder_strict_loading(tmp_path):
    model = make("ForMaskedLM")
    state = model.state_dict()
    state["nystromformer.embeddings.position_ids"] = torch.arange(64)[None] + 2
    state["nystromformer.embeddings.token_type_ids"] = torch.zeros(1, 64, dtype=torch.long)
    make("ForMaskedLM", seed=1).load_state_dict(dict(state), strict=True)

    model.config.save_pretrained(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    again, report = NystromformerForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert torch.equal(again.cls.predictions.transform.dense.weight, model.cls.predictions.transform.dense.weight)


def test_fields_and_defaults_are_those_of_transformers():
    ours, peer = NystromformerConfig().to_dict(), transformers.NystromformerConfig().to_dict()
    assert ours == peer


def test_config_json_goes_both_ways(tmp_path):
    changes = small(inv_coeff_init_option=True, id2label={0: "a", 1: "b"}, num_labels=2)
    ours, peer = NystromformerConfig(**changes), transformers.NystromformerConfig(**changes)
    assert json.loads(ours.to_json_string()) == json.loads(peer.to_json_string())
    ours.save_pretrained(tmp_path)
    assert transformers.NystromformerConfig.from_pretrained(tmp_path).to_dict() == peer.to_dict()
    peer.save_pretrained(tmp_path)
    assert NystromformerConfig.from_pretrained(tmp_path).to_dict() == ours.to_dict()


def test_own_fields_reach_config_json_only_when_they_differ(tmp_path):
    assert not {"attention_type", "position_period"} & set(json.loads(NystromformerConfig().to_json_string()))
    config = NystromformerConfig(attention_type="nystrom", position_period=128)
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["attention_type"] == "nystrom" and written["position_period"] == 128
    again = NystromformerConfig.from_pretrained(tmp_path)
    assert (again.attention_type, again.position_period) == ("nystrom", 128)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 30}, "hidden_size must be a multiple of num_attention_heads"),
        ({"attention_type": "linear"}, "attention_type must be None, 'nystrom' or 'softmax', got 'linear'"),
        ({"num_landmarks": 0}, "num_landmarks must be at least 1, got 0"),
        ({"conv_kernel_size": 4}, "conv_kernel_size must be odd or None, got 4"),
        ({"position_period": 0}, "position_period must be None or at least 1, got 0"),
        ({"position_period": 65}, "max_position_embeddings 64 is too few for position_period 65"),
        ({"hidden_act": "gloo"}, "hidden_act must be one of .*gelu.*, got 'gloo'"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_any_backend_may_return_attentions_by_configuration():
    model = make(output_attentions=True)
    assert model.config._attn_implementation == "sdpa" and len(model(make_ids(1, 9)).attentions) == 2


def test_the_choice_of_softmax_is_said_once(caplog):
    from longspan.models.nystromformer import modeling

    modeling._say_softmax.cache_clear()
    with caplog.at_level(logging.WARNING, logger="longspan"):
        make(segment_means_seq_len=6)
        make("ForMaskedLM", segment_means_seq_len=6)
        make()
        make(attention_type="softmax")
    assert [record.name for record in caplog.records] == ["longspan.nystromformer"]
    assert "attention_type to 'nystrom'" in caplog.text


def test_the_bias_of_a_head_that_the_checkpoint_lacks_is_zero(tmp_path):
    make("Model").save_pretrained(tmp_path)
    with uninitialized_is_nan():
        model = NystromformerForMaskedLM.from_pretrained(tmp_path)
    assert not model.cls.predictions.bias.any() and not model.cls.predictions.decoder.bias.any()
