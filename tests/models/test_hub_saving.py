"""Loading, saving and changing models with the machinery of transformers and accelerate."""

import copy
import io

import pytest
import torch
import transformers

import longspan
from tests.models.hub_models import (
    FAMILIES,
    HEADS,
    VOCAB,
    backend_modules,
    distance,
    make,
    make_config,
    make_ids,
    make_inputs,
)

pytestmark = [
    pytest.mark.parametrize("family", FAMILIES),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
]


def decoder(model):
    """The part of a masked-LM head that holds the decoder and its bias."""
    return model.lm_head if hasattr(model, "lm_head") else model.cls.predictions


@pytest.fixture
def saved(family, tmp_path):
    """A masked-LM model, its inputs and logits, and the directory of many shards where it is saved."""
    model, inputs = make(family), make_inputs(family)
    model.save_pretrained(tmp_path / "saved", max_shard_size="10KB")
    return model, inputs, model(**inputs).logits.detach(), tmp_path / "saved"


def test_sharded_safetensors_load_bit_equal(saved):
    model, inputs, logits, directory = saved
    assert len(list(directory.glob("*.safetensors"))) > 5
    again, found = type(model).from_pretrained(directory, output_loading_info=True)
    assert not any(found.values()), found
    assert not again.training
    assert torch.equal(again(**inputs).logits, logits)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_saves_and_loads(family, head, tmp_path):
    model = make(family, head)
    model.save_pretrained(tmp_path)
    again, found = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values()), found
    again.config.name_or_path = ""
    assert again.config.to_dict() == {**model.config.to_dict(), "architectures": [type(model).__name__]}
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_new_head_on_a_saved_encoder(saved):
    model, _, _, directory = saved
    family = type(model).__name__.removesuffix("ForMaskedLM")
    tagger = getattr(longspan, f"{family}ForTokenClassification")
    torch.manual_seed(0)
    again, found = tagger.from_pretrained(directory, output_loading_info=True, num_labels=7)
    assert again.config.num_labels == 7
    assert set(found["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    for a, b in zip(again.base_model.encoder.parameters(), model.base_model.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    assert again.classifier.bias.eq(0).all() and 0 < again.classifier.weight.abs().max() < 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, "auto"])
def test_dtype(saved, dtype, tmp_path):
    model, inputs, logits, directory = saved
    if dtype == "auto":
        copy.deepcopy(model).half().save_pretrained(tmp_path / "half")
        directory = tmp_path / "half"
    again = type(model).from_pretrained(directory, dtype=dtype)
    expected = torch.float16 if dtype == "auto" else dtype
    assert {p.dtype for p in again.parameters()} == {expected}
    found = again(**inputs).logits
    assert found.dtype == expected
    scale = float(logits.abs().max())
    assert distance(found[0], logits[0]) < (0.1 if expected == torch.bfloat16 else 0.02) * scale


def test_half_of_a_model_in_memory(saved):
    model, inputs, logits, _ = saved
    found = copy.deepcopy(model).half()(**inputs).logits
    assert found.dtype == torch.float16 and distance(found[0], logits[0]) < 0.02 * float(logits.abs().max())


@pytest.mark.parametrize("device_map", ["cpu", "auto"])
def test_device_map(saved, device_map):
    pytest.importorskip("accelerate")
    model, inputs, logits, directory = saved
    assert torch.equal(type(model).from_pretrained(directory, device_map=device_map)(**inputs).logits, logits)


@pytest.mark.parametrize("part", ["everything", "a layer", "by memory"])
def test_weights_offloaded_to_disk_are_fetched(saved, part, tmp_path):
    pytest.importorskip("accelerate")
    model, inputs, logits, directory = saved
    base, head = model.base_model_prefix, "cls" if hasattr(model, "cls") else "lm_head"
    disk, place = "disk", "disk" if part == "everything" else "cpu"
    parts = {f"{base}.embeddings": place, f"{base}.encoder.layer.0": disk, f"{base}.encoder.layer.1": place}
    keywords = {"device_map": {**parts, head: place}}
    if part == "by memory":
        keywords = {"device_map": "auto", "max_memory": {"cpu": 30_000}}
    again = type(model).from_pretrained(directory, offload_folder=tmp_path / "offload", **keywords)
    assert "disk" in again.hf_device_map.values()
    assert any(parameter.is_meta for parameter in again.parameters())
    for _ in range(2):  # the second time, too
        assert distance(again(**inputs).logits, logits) < 1e-5
    maps = [x(**inputs, output_attentions=True).attentions[0] for x in (again, model)]
    assert distance(*(x.to_dense() if hasattr(x, "to_dense") and not torch.is_tensor(x) else x for x in maps)) < 1e-5


def test_built_on_the_meta_device(saved):
    model, inputs, logits, _ = saved
    with torch.device("meta"):
        empty = type(model)(model.config)
    assert all(parameter.is_meta for parameter in empty.parameters())
    shapes = empty(**{name: x.to("meta") for name, x in inputs.items()}).logits.shape
    assert shapes == logits.shape
    empty.to_empty(device="cpu").load_state_dict(model.state_dict())
    assert torch.equal(empty.eval()(**inputs).logits, logits)


def test_pickle_and_deepcopy(saved):
    model, inputs, logits, _ = saved
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    for other in (loaded, copied):
        assert torch.equal(other(**inputs).logits, logits)
        assert decoder(other).decoder.weight is other.get_input_embeddings().weight
        assert decoder(other).bias is decoder(other).decoder.bias


@pytest.mark.parametrize("size", [VOCAB + 17, VOCAB - 17])
@pytest.mark.parametrize("tie", [True, False])
def test_resized_vocabularies_load_again(family, tie, size, tmp_path):
    model = make(family, tie_word_embeddings=tie)
    with torch.no_grad():
        decoder(model).decoder.bias.copy_(torch.randn(VOCAB))
    ids = make_ids(1, 12, high=VOCAB - 17)
    before = model(ids).logits
    model.resize_token_embeddings(size)
    kept = min(size, VOCAB)
    after = model(ids, labels=torch.full_like(ids, size - 1))
    assert distance(after.logits[..., :kept], before[..., :kept]) < 1e-5 and after.loss > 0
    assert model.config.vocab_size == model.get_input_embeddings().num_embeddings == size
    assert decoder(model).bias.shape == decoder(model).decoder.bias.shape == (size,)
    assert (decoder(model).decoder.weight is model.get_input_embeddings().weight) == tie
    with pytest.raises(ValueError, match=f"0 to {size - 1}, got {size}"):
        model(torch.tensor([[size]]))
    model.save_pretrained(tmp_path)
    assert torch.equal(type(model).from_pretrained(tmp_path)(ids).logits, after.logits)


@pytest.mark.parametrize("tie", [True, False])
def test_tied_and_untied_embeddings(family, tie, tmp_path):
    model = make(family, tie_word_embeddings=tie)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    for each in (model, again):
        assert (decoder(each).decoder.weight is each.get_input_embeddings().weight) == tie
        assert (decoder(each).decoder.bias is decoder(each).bias) == tie
    inputs = make_inputs(family)
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)
    again(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert [name for name, p in again.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("enable", ["gradient_checkpointing_enable", "activation_checkpointing_enable"])
def test_checkpointing_gives_the_same_gradients(family, use_reentrant, enable):
    inputs = make_inputs(family)
    gradients, calls = [], []
    for checkpointing in (False, True):
        model = make(family, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1).train()
        if checkpointing:
            getattr(model, enable)({"use_reentrant": use_reentrant})
        for layer in model.base_model.encoder.layer:
            layer.attention.output.register_forward_pre_hook(lambda *_: calls.append(1))
        torch.manual_seed(1)
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert len(calls) == 2 + 4, "each of the two layers runs again in backward"
    for name, expected in gradients[0].items():
        assert torch.equal(gradients[1][name], expected), name


def test_backends_by_name(saved):
    model, inputs, logits, directory = saved
    assert model.config._attn_implementation == "sdpa"
    eager = type(model).from_pretrained(directory, attn_implementation="eager")
    assert {module.config._attn_implementation for module in backend_modules(eager)} == {"eager"}
    found = eager(**inputs).logits
    assert distance(found, logits) < 1e-5
    eager.set_attn_implementation("sdpa")
    assert {module.config._attn_implementation for module in backend_modules(eager)} == {"sdpa"}
    assert torch.equal(eager(**inputs).logits, logits)
    eager.save_pretrained(directory / "again")
    assert type(model).from_pretrained(directory / "again").config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["nonsense", "flash_attention_2", "paged|eager", "kernels-community/flash-attn"])
def test_a_backend_that_there_is_not_is_refused_with_the_possible_ones(saved, name):
    model, inputs, logits, directory = saved
    match = rf"attn_implementation of {type(model).__name__} must be one of 'eager', 'sdpa'.*, got '{name}'".replace(
        "|", r"\|"
    )
    with pytest.raises(ValueError, match=match):
        type(model).from_pretrained(directory, attn_implementation=name)
    with pytest.raises(ValueError, match=match):
        model.set_attn_implementation(name)
    family = type(model).__name__.removesuffix("ForMaskedLM")
    with pytest.raises(ValueError, match=match):
        type(model)(make_config(family, attn_implementation=name))
    assert model.config._attn_implementation == "sdpa" and torch.equal(model(**inputs).logits, logits)


@pytest.mark.parametrize("head", HEADS)
def test_configurations_of_other_classes_are_refused(family, head):
    build = getattr(longspan, f"{family}{head}")
    with pytest.raises(TypeError, match=rf"config must be a longspan.{family}Config, got transformers.BertConfig$"):
        build(transformers.BertConfig())
    theirs = make_config(family, transformers, num_labels=2)
    with pytest.raises(TypeError, match=rf"{family}Config.from_dict\(config.to_dict\(\)\) makes one of it$"):
        build(theirs)
    ours = getattr(longspan, f"{family}Config").from_dict(theirs.to_dict())
    assert build(ours).num_parameters() == make(family, head, num_labels=2).num_parameters()
