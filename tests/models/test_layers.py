"""The shared layers: what inference does in place is seen by nobody."""

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

import longspan
from longspan import LongformerConfig
from longspan.models import layers
from longspan.models.layers import Intermediate, ResidualOutput, has_hooks, may_overwrite

SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_hidden_layers": 1}


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu", "silu"])
def test_inference_in_place_equals_training_and_leaves_inputs_alone(act):
    config = LongformerConfig(**SIZES, hidden_act=act)
    torch.manual_seed(0)
    widen, narrow = Intermediate(config).eval(), ResidualOutput(config, 12).eval()
    x = torch.randn(2, 5, 8)
    kept = x.clone()
    expected = narrow(widen(x), x)
    with torch.no_grad():
        wide = widen(x)
        kept_wide = wide.clone()
        found = narrow(wide, x)
    torch.testing.assert_close(found, expected)
    assert torch.equal(x, kept) and torch.equal(wide, kept_wide)


def test_a_hook_sees_what_the_projection_gave():
    config = LongformerConfig(**SIZES)
    widen, narrow = Intermediate(config).eval(), ResidualOutput(config, 12).eval()
    seen = []
    for module in (widen.dense, narrow.dense):
        module.register_forward_hook(lambda module, args, out: seen.append((module, args[0], out)))
    with torch.no_grad():
        x = torch.randn(1, 3, 8)
        narrow(widen(x), x)
        for module, given, out in seen:
            torch.testing.assert_close(out, nn.functional.linear(given, module.weight, module.bias))
    assert len(seen) == 2


def test_nothing_is_overwritten_while_a_graph_may_need_it():
    linear = nn.Linear(2, 2)
    assert not may_overwrite(linear)
    with torch.no_grad():
        assert may_overwrite(linear)
        linear.register_forward_hook(lambda *_: None)
        assert not may_overwrite(linear)


def test_mixed_dtypes_are_not_narrowed():
    config = LongformerConfig(**SIZES)
    narrow = ResidualOutput(config, 12).eval()
    x, residual = torch.randn(1, 3, 12), torch.randn(1, 3, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert narrow(x, residual).dtype == torch.float32


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
def test_a_global_hook_hears_every_module(family, grad):
    """But for the two that no model calls: the list of layers, and what holds the two halves of an attention."""
    config = getattr(longspan, f"{family}Config")(**SIZES, vocab_size=20, max_position_embeddings=40)
    model = getattr(longspan, f"{family}ForMaskedLM")(config).eval()
    heard = set()
    handle = register_module_forward_hook(lambda module, args, output: heard.add(module))
    try:
        with torch.set_grad_enabled(grad):
            model(torch.full((1, 9), 5))
    finally:
        handle.remove()
    silent = [type(module).__name__ for module in model.modules() if module not in heard]
    assert sorted(silent) == ["AttentionBlock", "ModuleList"]


def test_global_hooks_are_asked_for_once(monkeypatch):
    asked = []
    monkeypatch.setattr(layers, "_has_any_global_hook", lambda: asked.append(1))
    module = nn.Sequential(*(nn.Linear(1, 1) for _ in range(5)))
    assert not has_hooks(module) and len(asked) == 1
    module[3].register_forward_hook(lambda *_: None)
    assert has_hooks(module) and not has_hooks(module[3])
