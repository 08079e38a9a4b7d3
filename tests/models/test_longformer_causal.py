"""LongformerForCausalLM against a dense evaluation of its formulas in float64; what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from longspan.models.longformer import LongformerConfig, LongformerForCausalLM, LongformerForMaskedLM, LongformerModel
from tests._support import run_python
from tests.models.causal_cases import build, draw_ids, settings_of


def dense(model, ids, segment_ids=None):
    """Logits from the weights and the formulas alone: pre-norm layers, scores of contents and of distances, softmax."""
    config, base = model.config, model.longformer
    heads, length = config.num_attention_heads, ids.shape[1]
    size = config.hidden_size // heads
    place = torch.arange(length, dtype=torch.float64)
    ago = place[:, None] - place
    angle = ago[:, :, None] * 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    distances = torch.cat([angle.cos(), angle.sin()], -1)  # (N, N, D)
    segment_ids = torch.zeros_like(ids) if segment_ids is None else segment_ids
    same = (segment_ids[:, :, None] == segment_ids[:, None]) & (segment_ids >= 0)[:, None]

    hidden = base.embeddings.word_embeddings(ids)
    for index, layer in enumerate(base.encoder.layer):
        attention, block = layer.attention.self, layer.attention.output
        x = block.LayerNorm(hidden)
        query, key, value = (
            p(x).unflatten(-1, (heads, size)) for p in (attention.query, attention.key, attention.value)
        )
        far = attention.position(distances).unflatten(-1, (heads, size))
        step = torch.tensor(config.dilations[index])[:, None, None]
        seen = (ago >= 0) & (ago <= config.windows[index] // 2 * step) & (ago % step == 0)
        biases = [x.unflatten(0, (heads, size)) for x in (attention.content_bias, attention.position_bias)]
        scores = torch.einsum("bihd,bjhd->bhij", query + biases[0], key)
        scores = scores + torch.einsum("bihd,ijhd->bhij", query + biases[1], far)
        scores = (scores / size**0.5).masked_fill(~(seen & same[:, None]), float("-inf"))
        weights = scores.softmax(-1).nan_to_num(0.0)
        context = torch.einsum("bhij,bjhd->bihd", weights, value).flatten(2)
        hidden = hidden + block.dense(context)
        widened = F.gelu(layer.intermediate.dense(layer.output.LayerNorm(hidden)))
        hidden = hidden + layer.output.dense(widened)
    return model.lm_head(base.norm(hidden))


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_window": [0, 200], "dilation": 1},
        {"attention_window": 9, "dilation": [3, 1]},
        {"num_attention_heads": 1, "dilation": 5, "tie_word_embeddings": False},
    ],
)
def test_forward_and_gradients_equal_the_dense_formulas(backend, changes):
    model = build(**changes).double()
    for layer in model.longformer.encoder.layer:  # they begin at 0
        torch.nn.init.normal_(layer.attention.self.content_bias)
        torch.nn.init.normal_(layer.attention.self.position_bias)
    model.set_attn_implementation(backend)
    ids = draw_ids(2, 70)
    segments = None
    if changes:
        segments = torch.tensor([[0] * 30 + [1] * 33 + [-1] * 7, [-1] * 5 + [3] * 65])
    valid = torch.ones_like(ids, dtype=torch.bool) if segments is None else segments >= 0
    weights = torch.randn(2, 70, 50, dtype=torch.float64) * valid[:, :, None]
    found, expected = model(ids, segment_ids=segments).logits, dense(model, ids, segments)
    torch.testing.assert_close(found * valid[:, :, None], expected * valid[:, :, None], rtol=0, atol=1e-9)
    parameters = list(model.parameters())
    ours = torch.autograd.grad((found * weights).sum(), parameters)
    theirs = torch.autograd.grad((expected * weights).sum(), parameters)
    for name, a, b in zip(dict(model.named_parameters()), ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}")


def test_the_future_changes_nothing():
    model, ids = build(), draw_ids(1, 60)
    changed = ids.clone()
    changed[0, 40:] = (changed[0, 40:] + 1) % 50
    before, after = (model(x).logits[0] for x in (ids, changed))
    assert torch.equal(before[:40], after[:40]) and not torch.equal(before[40], after[40])


def test_how_far_it_sees():
    """The windows, multiplied by the widest dilation of their layer, add up; nothing older counts."""
    model = build(attention_window=[4, 6], dilation=[[1, 1, 1, 2], [1, 1, 1, 3]])
    reach = 2 * 2 + 3 * 3
    ids = draw_ids(1, 40)
    changed = ids.clone()
    for far, same in ((reach + 1, True), (reach, False)):
        changed = ids.clone()
        changed[0, 39 - far] = (changed[0, 39 - far] + 1) % 50
        assert torch.equal(model(ids).logits[0, 39], model(changed).logits[0, 39]) is same


def test_the_loss_is_that_of_the_next_tokens():
    model, ids = build(), draw_ids(2, 30)
    logits = model(ids).logits
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(model(ids, labels=ids).loss, expected)
    labels = ids.clone()
    labels[:, 10:] = -100
    expected = F.cross_entropy(logits[:, :9].flatten(0, 1), ids[:, 1:10].flatten())
    torch.testing.assert_close(model(ids, labels=labels).loss, expected)
    summed = F.cross_entropy(logits[:, :9].flatten(0, 1), ids[:, 1:10].flatten(), reduction="sum")
    torch.testing.assert_close(model(ids, labels=labels, num_items_in_batch=7).loss, summed / 7)


def test_padding_and_the_next_document_are_no_targets():
    model, ids = build(), draw_ids(2, 20)
    mask = torch.ones_like(ids)
    mask[0, :6] = 0
    parts = [model(ids[:1, 6:], labels=ids[:1, 6:]).loss * 13, model(ids[1:], labels=ids[1:]).loss * 19]
    torch.testing.assert_close(model(ids, attention_mask=mask, labels=ids).loss, sum(parts) / 32)
    segments = torch.tensor([[0] * 8 + [1] * 12])
    parts = [model(ids[:1, :8], labels=ids[:1, :8]).loss * 7, model(ids[:1, 8:], labels=ids[:1, 8:]).loss * 11]
    found = model(ids[:1], segment_ids=segments, labels=ids[:1]).loss
    torch.testing.assert_close(found, sum(parts) / 18)


@pytest.mark.parametrize("tied", [True, False])
def test_a_checkpoint_comes_back(tied, tmp_path):
    model, ids = build(tie_word_embeddings=tied), draw_ids(1, 50)
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["causal"] is True and written["dilation"] == [1, [1, 1, 2, 3]]
    again = LongformerForCausalLM.from_pretrained(tmp_path)
    assert (again.lm_head.weight is again.get_input_embeddings().weight) is tied
    assert torch.equal(again.eval()(ids).logits, model(ids).logits)
    with pytest.raises(ValueError, match="causal must be False but for LongformerForCausalLM"):
        LongformerModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="causal must be False but for LongformerForCausalLM"):
        LongformerForMaskedLM.from_pretrained(tmp_path)


def test_other_checkpoints_do_not_hold_the_fields():
    fields = LongformerConfig().to_dict()
    assert "causal" not in fields and "dilation" not in fields


def test_windows_change_in_place():
    model, ids = build(attention_window=[2, 4]), draw_ids(1, 60)
    before = model(ids).logits
    model.set_attention_window([20, 30])
    wider = LongformerForCausalLM(LongformerConfig(**settings_of(attention_window=[20, 30]))).eval()
    wider.load_state_dict(model.state_dict())
    assert torch.equal(model(ids).logits, wider(ids).logits) and not torch.equal(model(ids).logits, before)
    with pytest.raises(ValueError, match=r"one per layer \(2\), got a list of 3"):
        model.set_attention_window([1, 2, 3])
    assert model.config.attention_window == [20, 30]


def test_gradient_checkpointing_changes_no_gradient():
    model, ids = build(), draw_ids(1, 40)
    model.train()
    model(ids, labels=ids).loss.backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model.gradient_checkpointing_enable()
    model(ids, labels=ids).loss.backward()
    assert all(torch.equal(p.grad, before[name]) for name, p in model.named_parameters())


def test_gradient_checkpointing_has_no_cache():
    """The layers run twice: the second time they would find themselves in the cache."""
    model, ids = build().train(), draw_ids(1, 20)
    model.activation_checkpointing_enable()
    with pytest.warns(UserWarning, match="use_cache is off"):
        outputs = model(ids, labels=ids, use_cache=True)
    outputs.loss.backward()
    assert outputs.past_key_values is None


def test_there_are_no_maps():
    model, ids = build(), draw_ids(1, 20)
    assert torch.equal(model(ids, output_attentions=False).logits, model(ids).logits)
    with pytest.raises(ValueError, match="output_attentions must be False for LongformerForCausalLM"):
        model.generate(ids, max_new_tokens=1, return_dict_in_generate=True, output_attentions=True)


@pytest.mark.parametrize("window", [3.5, True, [4, True], None, "ab"])
def test_windows_that_are_refused(window):
    model = build()
    before = model.config.attention_window
    with pytest.raises(ValueError, match="attention_window must hold whole numbers, got "):
        model.set_attention_window(window)
    assert model.config.attention_window == before


def test_it_compiles_at_any_length():
    model = build(num_hidden_layers=1, attention_window=6, dilation=[[1, 1, 2, 3]])
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for length in (30, 47, 21):
        ids = draw_ids(2, length)
        torch.testing.assert_close(compiled(ids).logits, model(ids).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"causal": False, "dilation": 1}, "causal must be True for LongformerForCausalLM, got False"),
        ({"causal": False}, "dilation must be 1 where causal is False"),
        ({"dilation": [1, 2, 3]}, r"one per layer \(2\)"),
        ({"dilation": [[1], [2]]}, r"one per head \(4\)"),
        ({"dilation": [1, [1, 1, 0, 1]]}, "dilation must be at least 1"),
        ({"dilation": [1, [1, 1, "x", 1]]}, "dilation must hold whole numbers, got 'x' in "),
        ({"dilation": 1.5}, r"dilation must hold whole numbers, got 1\.5"),
        ({"dilation": None}, "dilation must hold whole numbers, got None"),
        ({"hidden_size": 12}, "heads of a causal model must have an even size, got 3"),
        ({"attention_window": [4, -1]}, "attention_window must be at least 0"),
        ({"position_period": 4}, "position_period must be None where causal is True, got 4"),
        ({"output_attentions": True}, "output_attentions must be False where causal is True"),
    ],
)
def test_configurations_that_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        LongformerForCausalLM(LongformerConfig(**settings_of(**changes)))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ValueError, "exactly one of input_ids and inputs_embeds"),
        ({"input_ids": torch.tensor([[50]])}, ValueError, "0 to 49, got 50"),
        ({"attention_mask": torch.ones(1, 3)}, ValueError, r"attention_mask must be of shape \(2, 9\), got \(1, 3\)"),
        ({"attention_mask": [1]}, ValueError, r"attention_mask must be of shape \(2, 9\), got list"),
        ({"labels": torch.zeros(2, 8, dtype=torch.long)}, ValueError, "labels must have the shape"),
        ({"labels": torch.full((2, 9), 60)}, ValueError, "labels must be classes from 0 to 49"),
        ({"logits_to_keep": -1}, ValueError, "logits_to_keep must be a whole number of at least 0, got -1"),
        ({"logits_to_keep": 2, "labels": torch.zeros(2, 9, dtype=torch.long)}, ValueError, "must be 0 with labels"),
        ({"past_key_values": ()}, TypeError, r"past_key_values must be a cache .* got tuple"),
        ({"global_attention_mask": None}, TypeError, "global_attention_mask"),
        ({"segment_ids": torch.zeros(2, 9, dtype=torch.long), "use_cache": True}, ValueError, "None with a cache"),
    ],
)
def test_inputs_that_are_refused(given, error, message):
    inputs = {"input_ids": draw_ids(2, 9), **given} if given else {}
    with pytest.raises(error, match=message):
        build()(**inputs)


def test_auto_model_finds_it_after_register():
    code = f"""
import longspan, transformers
longspan.register()
model = transformers.AutoModelForCausalLM.from_config(longspan.LongformerConfig(**{settings_of()!r}))
print(type(model) is longspan.LongformerForCausalLM)
"""
    assert run_python(code).splitlines()[-1] == "True"
