"""What puts other modules in the place of linear layers: LoRA, int8 quantisation, parametrizations, hooks.

Longformer reads the weights of its global projections instead of calling them where that is the same.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import longspan
from tests.models.hub_models import FAMILIES, distance, make, make_inputs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor.*:UserWarning"),
]
GLOBAL = ("query_global", "key_global", "value_global")


def lora(model, targets, **keywords):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=list(targets), **keywords)
    )
    return adapted


def targets_of(family):
    choices = {"local": ("query", "value"), "all": ("query", "key", "value", "dense")}
    if family == "Longformer":
        choices |= {"global": GLOBAL, "one global": ("value_global",)}
    return choices


@pytest.mark.filterwarnings("ignore:.*tie_word_embeddings.*:UserWarning")
@pytest.mark.parametrize(("family", "targets"), [(family, name) for family in FAMILIES for name in targets_of(family)])
def test_lora_trains_merges_saves_and_loads(family, targets, tmp_path):
    peft = pytest.importorskip("peft")
    model, inputs = make(family, "ForTokenClassification"), make_inputs(family)
    original = copy.deepcopy(model)
    before = model(**inputs).logits
    adapted = lora(model, targets_of(family)[targets], task_type="TOKEN_CLS")
    assert distance(adapted(**inputs).logits, before) < 1e-5  # LoRA begins at zero
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=0.2)
    labels = inputs["input_ids"] % 3
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        losses.append(adapted.train()(**inputs, labels=labels).loss)
        losses[-1].backward()
        optimizer.step()
    moved = {name: p.grad.abs().max() > 0 for name, p in adapted.named_parameters() if "lora_B" in name}
    assert moved and all(moved.values()), moved
    assert losses[-1] < losses[0]
    after = adapted.eval()(**inputs).logits
    assert distance(after, before) > 1e-3

    adapted.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(original, tmp_path).eval()
    assert distance(again(**inputs).logits, after) < 1e-6
    merged = again.merge_and_unload()
    assert type(merged) is type(model)
    assert not any("lora" in type(module).__module__ for module in merged.modules())
    assert distance(merged(**inputs).logits, after) < 1e-5


def test_lora_on_global_projections_changes_what_it_should():
    """As if its product were added to the weight that is read."""
    inputs = make_inputs("Longformer")
    adapted = lora(make("Longformer", "Model"), GLOBAL)
    plain = make("Longformer", "Model")
    with torch.no_grad():
        for (name, module), (other, linear) in zip(
            ((n, m) for n, m in adapted.base_model.model.named_modules() if n.endswith(GLOBAL)),
            ((n, m) for n, m in plain.named_modules() if n.endswith(GLOBAL)),
            strict=True,
        ):
            assert name == other
            module.lora_B["default"].weight.normal_(std=0.2)
            linear.weight += 2 * module.lora_B["default"].weight @ module.lora_A["default"].weight
    found, expected = adapted(**inputs).last_hidden_state, plain(**inputs).last_hidden_state
    assert distance(found, expected) < 1e-5
    assert distance(found, make("Longformer", "Model")(**inputs).last_hidden_state) > 1e-2
    with adapted.disable_adapter():
        assert distance(adapted(**inputs).last_hidden_state, make("Longformer", "Model")(**inputs)[0]) < 1e-5


def test_an_adapter_directory_loads_through_from_pretrained(tmp_path):
    """transformers loads the checkpoint that the adapter names, then the adapter."""
    make("Longformer", "ForTokenClassification").save_pretrained(tmp_path / "base")
    load = longspan.LongformerForTokenClassification.from_pretrained
    adapted = lora(load(tmp_path / "base"), ("query", "value_global"))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    inputs = make_inputs("Longformer")
    assert distance(load(tmp_path / "adapter")(**inputs).logits, adapted.eval()(**inputs).logits) < 1e-6


@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated.*:DeprecationWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_fault_31_int8_dynamic_quantisation(family):
    """The recipe for CPUs: cosine of at least 0.99 to the float model, at a fraction of the size."""
    wide = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.1}
    model, inputs = make(family, "Model", **wide), make_inputs(family, 3, 60)
    expected = model(**inputs).last_hidden_state
    quantised = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
    layer = quantised.encoder.layer[0].attention.self
    assert not any(type(module) is nn.Linear for module in quantised.modules())
    found = quantised(**inputs).last_hidden_state
    valid = inputs["attention_mask"].bool()
    assert torch.cosine_similarity(found[valid], expected[valid], dim=-1).min() >= 0.99
    assert distance(found[valid], expected[valid]) > 0
    if family == "Longformer":  # the global token's own projections were called
        broken = copy.deepcopy(quantised)
        broken.encoder.layer[1].attention.self.query_global = type(layer.query_global)(64, 64)
        assert distance(broken(**inputs).last_hidden_state[0, 0], found[0, 0]) > 1e-3


class Packed(torch.Tensor):
    """Half of what it stands for, as a quantised weight is less than what it stands for; it knows ``linear`` only."""

    @staticmethod
    def __new__(cls, half):
        return torch.Tensor._make_wrapper_subclass(cls, half.shape, dtype=half.dtype, device=half.device)

    def __init__(self, half):
        self.half_of_it = half

    def __tensor_flatten__(self):
        return ["half_of_it"], None

    @staticmethod
    def __tensor_unflatten__(parts, context, size, stride):
        return Packed(parts["half_of_it"])

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is nn.functional.linear:
            x, weight, bias = args
            return nn.functional.linear(x, 2 * weight.half_of_it, bias)
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.detach.default:
            return Packed(args[0].half_of_it)
        raise NotImplementedError(f"{function} of a packed weight")


def test_weights_that_are_tensor_subclasses_are_called():
    """As torchao quantises and torch shards: the module stays nn.Linear, its weight is another class of tensor."""
    inputs = make_inputs("Longformer")
    model, doubled = make("Longformer", "Model"), make("Longformer", "Model")
    for layer, other in zip(model.encoder.layer, doubled.encoder.layer, strict=True):
        for name in GLOBAL:
            linear = getattr(layer.attention.self, name)
            linear.weight = nn.Parameter(Packed(linear.weight.detach()), requires_grad=False)
            with torch.no_grad():
                getattr(other.attention.self, name).weight *= 2
    found = model(**inputs).last_hidden_state
    assert distance(found, doubled(**inputs).last_hidden_state) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_with_torchao(family):
    torchao = pytest.importorskip("torchao.quantization")
    model, inputs = make(family, "Model", hidden_size=64, initializer_range=0.1), make_inputs(family, 3, 60)
    expected = model(**inputs).last_hidden_state
    torchao.quantize_(model, torchao.Int8DynamicActivationInt8WeightConfig())
    found, valid = model(**inputs).last_hidden_state, inputs["attention_mask"].bool()
    assert torch.cosine_similarity(found[valid], expected[valid], dim=-1).min() >= 0.99
    assert distance(found[valid], expected[valid]) > 0


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


@pytest.mark.parametrize("part", GLOBAL)
@pytest.mark.parametrize("way", ["parametrization", "forward hook", "subclass", "forward of the instance", "pruning"])
def test_projections_that_are_more_than_a_weight_are_called(part, way):
    """Each way makes the projection twice what it was; so does doubling its weight and bias."""
    inputs = make_inputs("Longformer")
    model, doubled = make("Longformer", "Model"), make("Longformer", "Model")
    with torch.no_grad():
        for each in (model, doubled):
            for layer in each.encoder.layer:
                getattr(layer.attention.self, part).bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(3))
    before = model(**inputs).last_hidden_state
    for layer, other in zip(model.encoder.layer, doubled.encoder.layer, strict=True):
        linear, expected = getattr(layer.attention.self, part), getattr(other.attention.self, part)
        with torch.no_grad():
            expected.weight *= 2
            expected.bias *= 2
        if way == "parametrization":
            nn.utils.parametrize.register_parametrization(linear, "weight", Doubled())
            nn.utils.parametrize.register_parametrization(linear, "bias", Doubled())
        elif way == "forward hook":
            linear.register_forward_hook(lambda module, args, output: 2 * output)
        elif way == "forward of the instance":
            linear.forward = lambda x, forward=linear.forward: 2 * forward(x)
        elif way == "subclass":
            twice = type("Twice", (nn.Linear,), {"forward": lambda self, x: 2 * nn.Linear.forward(self, x)})
            linear.__class__ = twice
        else:
            with torch.no_grad():
                linear.weight *= 2
                linear.bias *= 2
            prune.identity(linear, "weight")
    found = model(**inputs).last_hidden_state
    assert distance(found, doubled(**inputs).last_hidden_state) < 1e-5
    # a global token's key bias cancels in its softmax; everything else shows
    assert distance(found, before) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_hooks_see_every_projection(family):
    """Tools that watch activations and gradients by module hooks miss none of them."""
    model, inputs = make(family, "ForTokenClassification"), make_inputs(family)
    seen = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            module.register_full_backward_hook(lambda *_, name=name: seen.add(name))
    model(**inputs, labels=inputs["input_ids"] % 3).loss.backward()
    assert seen == {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
