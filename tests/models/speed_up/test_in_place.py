"""Only the attention changes: weights, files, copies, pickles, hooks and the way back."""

import copy
import io
import pickle

import pytest
import torch
import transformers
from torch import nn

import longspan
from longspan.models.speed_up.swapped import Swapped
from tests.models.longformer_cases import BASE, MASKED_LM, TOKEN, batch, fields, scaled_error, scatter
from tests.models.nystromformer.support import LENGTH, make_ids, make_pair


def make_longformer(name=BASE, **changes):
    model = getattr(transformers, name)(transformers.LongformerConfig(**fields(name=name, **changes))).eval()
    scatter(model)
    return model


def make_nystromformer():
    return make_pair()[1]


MODELS = {"longformer": (make_longformer, batch([21, 12], "ragged").inputs(BASE)),
          "nystromformer": (make_nystromformer, {"input_ids": make_ids(1, LENGTH)})}  # fmt: skip


@pytest.fixture(params=MODELS)
def case(request):
    make, inputs = MODELS[request.param]
    return make(), inputs


def swapped(model):
    return [module for module in model.modules() if isinstance(module, Swapped)]


@torch.no_grad()
def run(model, inputs):
    return model(**inputs).last_hidden_state


def describe(model):
    """Everything that a module is: class, own attributes (but for its parts), by name."""
    return {
        name: (type(module), {key: id(value) for key, value in vars(module).items()})
        for name, module in model.named_modules()
    }


def test_the_model_itself_is_changed_and_returned(case):
    model, _ = case
    modules = list(model.modules())
    assert longspan.speed_up(model) is model
    assert all(a is b for a, b in zip(modules, model.modules(), strict=True))
    assert len(swapped(model)) == 2
    for module in swapped(model):
        assert isinstance(module, module.original) and module.original.__module__.startswith("transformers.")


def test_undo_restores_everything(case):
    model, inputs = case
    before, wanted = describe(model), run(model, inputs)
    assert longspan.undo_speed_up(longspan.speed_up(model)) is model
    assert describe(model) == before
    assert torch.equal(run(model, inputs), wanted)


def test_twice_is_once_and_undoing_nothing_does_nothing(case):
    model, _ = case
    before = describe(model)
    assert longspan.undo_speed_up(model) is model and describe(model) == before
    once = describe(longspan.speed_up(model))
    assert describe(longspan.speed_up(model)) == once
    longspan.undo_speed_up(longspan.undo_speed_up(model))
    assert describe(model) == before


def test_weights_have_the_same_names_and_memory(case):
    model, _ = case
    before = {name: (x.data_ptr(), x.requires_grad) for name, x in model.state_dict(keep_vars=True).items()}
    longspan.speed_up(model)
    assert {name: (x.data_ptr(), x.requires_grad) for name, x in model.state_dict(keep_vars=True).items()} == before
    model.load_state_dict(copy.deepcopy(model.state_dict()), strict=True)


def test_saved_files_are_the_same(case, tmp_path):
    model, inputs = case
    model.save_pretrained(tmp_path / "before")
    longspan.speed_up(model).save_pretrained(tmp_path / "after")
    for file in (tmp_path / "before").iterdir():
        assert file.read_bytes() == (tmp_path / "after" / file.name).read_bytes(), file.name
    loaded = type(model).from_pretrained(tmp_path / "after")
    assert not swapped(loaded)
    assert scaled_error(run(loaded, inputs), run(model, inputs)) <= 1e-5


def test_copies_and_pickles_are_sped_up_and_apart(case):
    model, inputs = case
    longspan.speed_up(model)
    wanted = run(model, inputs)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    copies = (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(file, weights_only=False),
    )
    for other in copies:
        assert [type(module) for module in other.modules()] == [type(module) for module in model.modules()]
        assert torch.equal(run(other, inputs), wanted)
        with torch.no_grad():
            next(iter(other.parameters())).zero_()
        longspan.undo_speed_up(other)
        assert not swapped(other)
    assert len(swapped(model)) == 2 and torch.equal(run(model, inputs), wanted)


def test_hooks_on_the_attention_stay(case):
    model, inputs = case
    seen = []
    for module in model.modules():
        if type(module).__name__.endswith("SelfAttention"):
            module.register_forward_hook(lambda module, given, made: seen.append(type(made)))
    run(longspan.speed_up(model), inputs)
    assert seen == [tuple, tuple]


def test_a_hook_of_accelerate_stays_and_calls_the_new_forward(case):
    from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module

    class Count(ModelHook):
        calls = 0

        def pre_forward(self, module, *args, **kwargs):
            Count.calls += 1
            return args, kwargs

    model, inputs = case
    wanted = run(longspan.speed_up(copy.deepcopy(model)), inputs)
    attention = [module for module in model.modules() if type(module).__name__.endswith("SelfAttention")]
    for module in attention:
        add_hook_to_module(module, Count())
    longspan.speed_up(model)
    assert torch.equal(run(model, inputs), wanted)
    assert Count.calls == 2
    longspan.undo_speed_up(model)
    for module in attention:
        remove_hook_from_module(module)
        assert type(module).__module__.startswith("transformers.")
        assert module.forward.__func__ is type(module).forward


def test_a_replaced_forward_is_refused_and_nothing_changes(case):
    model, _ = case
    last = [module for module in model.modules() if type(module).__name__.endswith("SelfAttention")][-1]
    last.forward = lambda *args, **kwargs: None
    before = describe(model)
    with pytest.raises(ValueError, match=r"layer\.1\.attention\.self has a forward of its own"):
        longspan.speed_up(model)
    assert describe(model) == before


def test_a_head_keeps_its_class_and_what_it_is_saved_as(tmp_path):
    model = longspan.speed_up(make_longformer(TOKEN))
    assert type(model) is transformers.LongformerForTokenClassification
    model.save_pretrained(tmp_path)
    assert transformers.AutoConfig.from_pretrained(tmp_path).architectures == [TOKEN]


def test_projections_that_are_more_than_their_weights_are_called():
    class Shifted(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    model = make_longformer()
    for layer in model.encoder.layer:
        for name in ("query", "value", "query_global", "value_global"):
            old = getattr(layer.attention.self, name)
            new = Shifted(16, 16)
            new.load_state_dict(old.state_dict())
            setattr(layer.attention.self, name, new)
    rows = batch([21, 12], "ragged")
    wanted = run(model, rows.inputs(BASE))
    found = run(longspan.speed_up(model), rows.inputs(BASE))
    assert scaled_error(found[rows.valid], wanted[rows.valid]) <= 1e-5


def test_a_layer_of_ones_own_still_gets_padded_input():
    class MyAttention(transformers.models.longformer.modeling_longformer.LongformerSelfAttention):
        pass

    model = make_longformer()
    model.encoder.layer[1].attention.self.__class__ = MyAttention
    rows = batch([21, 12], "ragged")
    wanted = run(model, rows.inputs(BASE))
    longspan.speed_up(model)
    assert len(swapped(model)) == 1 and "_pad_to_window_size" not in vars(model)
    assert scaled_error(run(model, rows.inputs(BASE))[rows.valid], wanted[rows.valid]) <= 1e-5


def test_a_feed_forward_in_chunks_still_gets_a_multiple_of_them():
    model = make_longformer(chunk_size_feed_forward=4)
    rows = batch([21, 12], "ragged")
    wanted = run(model, rows.inputs(BASE))
    found = run(longspan.speed_up(model), rows.inputs(BASE))
    assert len(swapped(model)) == 2
    assert scaled_error(found[rows.valid], wanted[rows.valid]) <= 1e-5


def test_adapters_of_peft():
    peft = pytest.importorskip("peft")
    model = make_longformer(TOKEN)
    adapter = peft.LoraConfig(target_modules=["query", "value", "query_global"], init_lora_weights=False)
    wrapped = peft.get_peft_model(model, adapter).eval()
    inputs = batch([21, 12], "ragged").inputs(TOKEN)
    wanted = wrapped(**inputs).logits
    wanted.sum().backward()
    grads = {name: p.grad.clone() for name, p in wrapped.named_parameters() if p.grad is not None}
    wrapped.zero_grad()
    found = longspan.speed_up(wrapped)(**inputs).logits
    found.sum().backward()
    assert len(swapped(wrapped)) == 2 and grads
    valid = inputs["attention_mask"].bool()
    assert scaled_error(found[valid], wanted[valid]) <= 1e-5
    largest = max(float(grad.abs().max()) for grad in grads.values())
    for name, parameter in wrapped.named_parameters():
        if name in grads:
            assert float((parameter.grad - grads[name]).abs().max()) <= 2e-5 * largest, name


def test_inside_another_module_and_trained_by_an_optimizer():
    model = make_longformer(MASKED_LM)
    wrapped = nn.ModuleDict({"reader": model, "other": nn.Linear(2, 2)})
    optimizer = torch.optim.AdamW(wrapped.parameters(), lr=1e-2)
    longspan.speed_up(wrapped).train()
    rows = batch([21, 12], "first")
    losses = []
    for _ in range(5):
        loss = wrapped["reader"](**rows.inputs(MASKED_LM), labels=rows.ids.masked_fill(~rows.valid, -100)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_what_cannot_be_sped_up():
    bert = transformers.BertModel(
        transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )
    with pytest.raises(ValueError, match=r"LongformerSelfAttention, .*NystromformerSelfAttention\), got BertModel"):
        longspan.speed_up(bert)
    assert longspan.undo_speed_up(bert) is bert
    for function in (longspan.speed_up, longspan.undo_speed_up):
        with pytest.raises(TypeError, match=r"torch\.nn\.Module, got str"):
            function("model")


def test_longspans_own_model_is_left_alone():
    model = longspan.LongformerModel(longspan.LongformerConfig(**fields()))
    before = describe(model)
    assert longspan.speed_up(model) is model and describe(model) == before
