"""Checkpoints that cannot be loaded: a clear error that names what is wrong, and no model."""

import json
import os
import pickle
import re
import shutil

import pytest
import torch
import transformers

import longspan
from tests.models.hub_models import FAMILIES, make, make_config, make_ids

pytestmark = [
    pytest.mark.parametrize("family", FAMILIES),
    pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning"),
]
WEIGHTS = "model.safetensors"
BERT = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 130,
}


class Malicious:
    """Runs code when it is unpickled: makes the directory."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def saved(family, tmp_path):
    """A saved masked-LM model and how to load it."""
    model = make(family)
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved", type(model).from_pretrained


def shard(family, path):
    make(family).save_pretrained(path, max_shard_size="20KB")
    return sorted(path.glob("*.safetensors"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: b"\x07" * 5000,
        lambda data: data[:8] + b"[" + data[9:],
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12\n",
    ],
    ids=["half", "in the header", "empty", "noise", "header", "pointer"],
)
def test_broken_safetensors_are_named(saved, damage):
    directory, load = saved
    file = directory / WEIGHTS
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))} is truncated or corrupt .*; nothing was loaded$"):
        load(directory)


def test_a_path_that_safetensors_cannot_open_is_not_called_corrupt(saved):
    directory, load = saved
    other = directory.with_name("\udcff")
    directory.rename(other)
    with pytest.raises(ValueError, match="a path that is not UTF-8, which safetensors cannot open; rename its folder"):
        load(other)


def test_a_broken_shard_is_named(family, tmp_path):
    files = shard(family, tmp_path)
    files[1].write_bytes(files[1].read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"{re.escape(str(files[1]))} is truncated or corrupt"):
        type(make(family)).from_pretrained(tmp_path)


def test_a_broken_file_of_the_hub_cache_is_named(family, tmp_path):
    snapshot = tmp_path / "models--some--where" / "snapshots" / ("0" * 40)
    make(family).save_pretrained(snapshot)
    (tmp_path / "models--some--where" / "refs").mkdir()
    (tmp_path / "models--some--where" / "refs" / "main").write_text("0" * 40)
    keywords = {"cache_dir": str(tmp_path), "local_files_only": True}
    load = type(make(family)).from_pretrained
    assert load("some/where", **keywords).config.model_type == family.lower()
    (snapshot / WEIGHTS).write_bytes((snapshot / WEIGHTS).read_bytes()[:5000])
    with pytest.raises(ValueError, match=rf"{'0' * 40}/{WEIGHTS} is truncated or corrupt"):
        load("some/where", **keywords)


def test_a_lost_shard_is_named(family, tmp_path):
    lost = shard(family, tmp_path)[1]
    lost.unlink()
    with pytest.raises(FileNotFoundError, match=lost.name):
        type(make(family)).from_pretrained(tmp_path)


def test_weights_that_no_index_names_are_missed(family, tmp_path):
    files = shard(family, tmp_path)
    index = tmp_path / f"{WEIGHTS}.index.json"
    content = json.loads(index.read_text())
    dropped = [key for key, file in content["weight_map"].items() if file == files[1].name]
    content["weight_map"] = {key: file for key, file in content["weight_map"].items() if key not in dropped}
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"lacks \d+ of the \d+ weights of the embeddings and the encoder"):
        type(make(family)).from_pretrained(tmp_path)


def test_a_broken_index_is_named(family, tmp_path):
    shard(family, tmp_path)
    index = tmp_path / f"{WEIGHTS}.index.json"
    index.write_text(index.read_text()[:100])
    with pytest.raises(ValueError, match=rf"{re.escape(str(index))} is truncated or corrupt"):
        type(make(family)).from_pretrained(tmp_path)


def test_missing_files_are_named(saved, tmp_path):
    directory, load = saved
    (directory / WEIGHTS).rename(directory / "elsewhere")
    with pytest.raises(OSError, match=rf"{WEIGHTS}.*{re.escape(str(directory))}"):
        load(directory)
    (directory / "elsewhere").rename(directory / WEIGHTS)
    (directory / "config.json").unlink()
    with pytest.raises(OSError, match=rf"{re.escape(str(directory))}' has no config.json"):
        load(directory)
    with pytest.raises(OSError, match=r"nowhere' is no directory, and no hub id"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["{", "\udcff\udcfe", "[]"])
def test_a_config_that_is_no_json_object_is_named(saved, content):
    directory, load = saved
    (directory / "config.json").write_text(content, errors="surrogateescape")
    with pytest.raises((OSError, ValueError), match=r"config.json"):
        load(directory)


@pytest.mark.parametrize("other", ["BertForMaskedLM", "BertModel", "RobertaForMaskedLM", "DistilBertModel"])
def test_another_architecture_is_refused_by_its_name(family, other, tmp_path):
    name = other.removesuffix("ForMaskedLM").removesuffix("Model")
    sizes = {"vocab_size": 60, "dim": 32, "n_heads": 4, "n_layers": 1} if name == "DistilBert" else BERT
    theirs = getattr(transformers, f"{name}Config")(**sizes)
    getattr(transformers, other)(theirs).save_pretrained(tmp_path)
    said = rf"checkpoint of model type '{name.lower()}'; {family}Config reads '{family.lower()}' only"
    for head in ("Model", "ForMaskedLM", "ForSequenceClassification"):
        with pytest.raises(ValueError, match=said):
            getattr(longspan, f"{family}{head}").from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=said):
        getattr(longspan, f"{family}Config").from_pretrained(tmp_path)
    with pytest.raises(TypeError, match=rf"config must be a longspan.{family}Config, got transformers.{name}Config"):
        getattr(longspan, f"{family}Model").from_pretrained(tmp_path, config=theirs)


@pytest.mark.parametrize("other", ["BertForMaskedLM", "BertModel"])
def test_weights_of_another_architecture_are_refused(family, other, tmp_path):
    """A configuration of ours, given or written over theirs, does not make their weights ours."""
    getattr(transformers, other)(transformers.BertConfig(**BERT)).save_pretrained(tmp_path)
    config = make_config(family)
    for head in ("Model", "ForMaskedLM"):
        with pytest.raises(ValueError, match=r"weights.* Expected .*(embeddings|encoder)"):
            getattr(longspan, f"{family}{head}").from_pretrained(tmp_path, config=config, ignore_mismatched_sizes=True)
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"weights"):
        getattr(longspan, f"{family}Model").from_pretrained(tmp_path)


def test_the_other_family_is_refused(family, tmp_path):
    other = next(x for x in FAMILIES if x != family)
    make(other).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"model type '{other.lower()}'"):
        type(make(family)).from_pretrained(tmp_path)


def test_no_weight_of_ours(saved):
    directory, load = saved
    torch.save({"something.else": torch.ones(3)}, directory / "pytorch_model.bin")
    (directory / WEIGHTS).unlink()
    with pytest.raises(
        ValueError, match=r"is not a checkpoint of a .*: it holds none of its weights, but something.else"
    ):
        load(directory)


def test_shapes_that_differ_are_listed(saved):
    directory, load = saved
    said = r"embeddings.weight is \(60, 32\), should be \(61, 32\).*ignore_mismatched_sizes=True makes them new"
    with pytest.raises(ValueError, match=said):
        load(directory, vocab_size=61)
    model, found = load(directory, vocab_size=61, ignore_mismatched_sizes=True, output_loading_info=True)
    assert model.get_input_embeddings().num_embeddings == 61 and found["mismatched_keys"]
    assert model(make_ids(1, 5)).logits.isfinite().all()


def test_more_layers_than_the_checkpoint_has(saved):
    directory, load = saved
    window = (
        {"attention_window": 4} if "attention_window" in json.loads((directory / "config.json").read_text()) else {}
    )
    with pytest.raises(ValueError, match=r"lacks \d+ of the \d+ weights.* Expected .*layer.2.attention"):
        load(directory, num_hidden_layers=3, **window)


def test_unknown_keywords_are_refused(saved):
    directory, load = saved
    with pytest.raises(TypeError, match="nonsense"):
        load(directory, nonsense=1)


def test_pickled_tensors_load(saved, family):
    directory, load = saved
    model = make(family)
    torch.save(model.state_dict(), directory / "pytorch_model.bin")
    (directory / WEIGHTS).unlink()
    assert torch.equal(load(directory)(make_ids(1, 9)).logits, model(make_ids(1, 9)).logits)


@pytest.mark.parametrize("form", ["torch", "plain pickle", "whole model"])
def test_pickles_of_anything_else_are_refused_and_not_run(saved, family, form, tmp_path):
    directory, load = saved
    (directory / WEIGHTS).unlink()
    file, trap = directory / "pytorch_model.bin", tmp_path / "trap"
    if form == "torch":
        torch.save({**make(family).state_dict(), "extra": Malicious(trap)}, file)
    elif form == "plain pickle":
        file.write_bytes(pickle.dumps({"extra": Malicious(trap)}))
    else:
        torch.save(make(family), file)
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))} is no pickle of tensors only.*it is not unpickled"):
        load(directory)
    with pytest.raises(ValueError, match="weights_only=False is not possible"):
        load(directory, weights_only=False)
    assert not trap.exists()
    if form == "torch":  # the trap works
        torch.load(file, weights_only=False)
        assert trap.is_dir()


def test_truncated_pickles_are_named(saved, family):
    directory, load = saved
    file = directory / "pytorch_model.bin"
    torch.save(make(family).state_dict(), file)
    (directory / WEIGHTS).unlink()
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))} is truncated or corrupt"):
        load(directory)


def test_training_arguments_beside_the_weights_do_no_harm(saved):
    """Trainer leaves a training_args.bin that is no pickle of tensors."""
    directory, load = saved
    torch.save(transformers.TrainingArguments(output_dir=str(directory)), directory / "training_args.bin")
    load(directory)
    shutil.copy(directory / WEIGHTS, directory / "other.safetensors")
    (directory / WEIGHTS).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"/{WEIGHTS} is truncated"):
        load(directory)


def test_a_state_dict_instead_of_files(family):
    model = make(family)
    again = type(model).from_pretrained(None, config=model.config, state_dict=model.state_dict())
    assert torch.equal(again(make_ids(1, 9)).logits, model(make_ids(1, 9)).logits)
    with pytest.raises(ValueError, match="'state_dict' is not a checkpoint"):
        type(model).from_pretrained(None, config=model.config, state_dict={"x": torch.ones(1)})
