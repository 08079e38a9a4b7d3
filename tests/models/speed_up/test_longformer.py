"""transformers' Longformer says the same with longspan's attention: all heads, padding, globals, gradients, maps."""

import pytest
import torch
import transformers

from tests.models.longformer_cases import BASE, CHOICE, CLASSES, batch, fields, labels, scaled_error, scatter
from tests.models.speed_up.support import (
    TOLERANCE,
    assert_same_gradients,
    assert_same_outputs,
    backward,
    sped_up_copy,
)


def make(name, **changes):
    model = getattr(transformers, name)(transformers.LongformerConfig(**fields(name=name, **changes))).eval()
    scatter(model)
    return model


# lengths, side of the padding, globals; windows are 8 and 4
ROWS = (
    ([1], "right", "none"),
    ([16], "right", "first"),
    ([33, 20, 1], "right", "ragged"),
    ([33, 20, 1], "left", "ragged"),
    ([50, 49], "right", "all"),
)


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_outputs_losses_and_gradients(name, rows):
    lengths, side, marks = rows
    given = batch(lengths, marks, side)
    theirs = make(name)
    ours = sped_up_copy(theirs)
    inputs = {**given.inputs(name, output_hidden_states=True), **labels(name, given)}
    e, a = theirs(**inputs), ours(**inputs)
    assert_same_outputs(a, e, given.valid)
    backward(e)
    backward(a)
    assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("name", CLASSES)
def test_the_default_global_mask_of_each_head(name):
    given = batch([21, 12], seed=3)
    given.ids[:, 5] = given.ids[:, 9] = 2
    if name.endswith("QuestionAnswering"):  # transformers wants three separators a row
        given.ids[:, 11] = 2
    if name == CHOICE:
        given.ids[:, 11] = 2
    theirs = make(name)
    inputs = given.inputs(name)
    del inputs["global_attention_mask"]
    with torch.no_grad():
        assert_same_outputs(sped_up_copy(theirs)(**inputs), theirs(**inputs), given.valid)


@pytest.mark.parametrize("marks", ["none", "ragged", "all"])
def test_attention_maps_have_their_layout_and_the_length_of_the_input(marks):
    given = batch([33, 20, 7], marks)
    theirs = make(BASE)
    inputs = given.inputs(BASE, output_attentions=True)
    with torch.no_grad():
        e, a = theirs(**inputs), sped_up_copy(theirs)(**inputs)
    for found, wanted in zip(a.attentions, e.attentions, strict=True):
        assert found.shape == wanted.shape
        found, wanted = found.transpose(1, 2)[given.valid], wanted.transpose(1, 2)[given.valid]
        assert scaled_error(found, wanted) <= TOLERANCE
    counts = (given.marks * given.mask).sum(1)
    if not counts.any():
        assert a.global_attentions is None and e.global_attentions is None
        return
    used = torch.arange(int(counts.max())) < counts[:, None]
    for found, wanted in zip(a.global_attentions, e.global_attentions, strict=True):
        assert found.shape[2] == 33 and wanted.shape[2] == 40  # theirs are as long as what it pads to
        found, wanted = found.permute(0, 3, 1, 2)[used], wanted.permute(0, 3, 1, 2)[used][..., :33]
        assert scaled_error(found, wanted) <= TOLERANCE


def test_tuples_and_embeddings_as_input():
    given = batch([21, 12], "first")
    theirs = make(BASE)
    ours = sped_up_copy(theirs)
    embeds = torch.randn(2, 21, 16, generator=torch.Generator().manual_seed(1))
    inputs = {"inputs_embeds": embeds, "attention_mask": given.mask, "global_attention_mask": given.marks}
    with torch.no_grad():
        e, a = (model(**inputs, return_dict=False, output_attentions=True) for model in (theirs, ours))
        merged = ours(given.ids, attention_mask=given.mask + given.marks).last_hidden_state
        apart = theirs(given.ids, attention_mask=given.mask, global_attention_mask=given.marks).last_hidden_state
    assert [type(x) for x in a] == [type(x) for x in e]
    assert scaled_error(a[0][given.valid], e[0][given.valid]) <= TOLERANCE
    assert scaled_error(merged[given.valid], apart[given.valid]) <= TOLERANCE


def test_nothing_is_padded_to_the_window():
    theirs = make(BASE, attention_window=[64, 32])
    ours = sped_up_copy(theirs)
    seen = []
    for model in (theirs, ours):
        model.encoder.layer[0].register_forward_hook(lambda layer, given, made: seen.append(made[0].shape[1]))
        with torch.no_grad():
            model(**batch([5]).inputs(BASE))
    assert seen == [64, 5]


def test_windows_that_transformers_cannot_combine():
    # it pads to the largest window, which has to be a multiple of the others
    ours = sped_up_copy(make(BASE, attention_window=[16, 24]))
    with torch.no_grad():
        assert ours(**batch([40, 11], "ragged").inputs(BASE)).last_hidden_state.isfinite().all()


def test_attention_dropout_in_training():
    theirs = make(BASE, attention_probs_dropout_prob=0.5)
    ours = sped_up_copy(theirs)
    inputs = batch([33, 20], "ragged").inputs(BASE)
    with torch.no_grad():
        assert scaled_error(ours(**inputs).pooler_output, theirs(**inputs).pooler_output) <= TOLERANCE
    ours.train()
    torch.manual_seed(0)
    first = ours(**inputs).last_hidden_state
    second = ours(**inputs).last_hidden_state
    assert (first - second).abs().max() > 1e-2
    first.sum().backward()
    assert all(p.grad.isfinite().all() for p in ours.parameters() if p.grad is not None)


def test_gradient_checkpointing():
    theirs = make(BASE).train()
    ours = sped_up_copy(theirs)
    ours.gradient_checkpointing_enable()
    inputs = batch([33, 20], "ragged").inputs(BASE)
    for model in (theirs, ours):
        backward(model(**inputs))
    assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    exact = make(BASE).double()
    theirs = make(BASE).to(dtype)
    given = batch([33, 20], "ragged")
    inputs = given.inputs(BASE)
    with torch.no_grad():
        wanted = exact(**inputs).last_hidden_state
        own = scaled_error(theirs(**inputs).last_hidden_state[given.valid], wanted[given.valid])
        found = scaled_error(sped_up_copy(theirs)(**inputs).last_hidden_state[given.valid], wanted[given.valid])
    assert found <= 2 * own + 1e-3
