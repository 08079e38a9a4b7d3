"""Equal to transformers for equal weights where it is right: N == segment_means_seq_len, one unpadded document."""

import inspect

import pytest
import torch
from transformers.models.nystromformer import modeling_nystromformer as peer_module

from longspan.models import nystromformer
from tests.models.nystromformer.support import (
    HEADS,
    LENGTH,
    assert_close,
    make_ids,
    make_labels,
    make_pair,
    predictions,
)

CASES = {
    "nystrom": {},
    "softmax": {"segment_means_seq_len": 6},
    "wide convolution": {"conv_kernel_size": 33},
    "relu": {"hidden_act": "relu"},
}


def shape(head, batch=1):
    return (batch, 1, LENGTH) if head == "ForMultipleChoice" else (batch, LENGTH)


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("head", HEADS)
def test_outputs_losses_and_gradients(head, case, backend):
    changes = dict(CASES[case])
    ours, peer = make_pair(head, **changes)
    ours.set_attn_implementation(backend)
    arguments = {
        "input_ids": make_ids(*shape(head)),
        "token_type_ids": make_ids(*shape(head)) % 2,
        "attention_mask": torch.ones(shape(head), dtype=torch.long),
        "output_hidden_states": True,
        **make_labels(head),
    }
    a, e = ours(**arguments), peer(**arguments)
    assert list(a.keys()) == list(e.keys())
    for name, expected in predictions(e).items():
        assert_close(a[name], expected)
    for actual, expected in zip(a.hidden_states, e.hidden_states, strict=True):
        assert_close(actual, expected)

    generator = torch.Generator().manual_seed(3)
    for outputs in (a, e):
        if "loss" in outputs:
            outputs.loss.backward()
        else:
            outputs.last_hidden_state.backward(torch.randn(outputs.last_hidden_state.shape, generator=generator))
            generator.manual_seed(3)
    if "loss" in a:
        assert_close(a.loss, e.loss)
    expected = {name: p.grad for name, p in peer.named_parameters() if p.grad is not None}
    largest = max(float(grad.abs().max()) for grad in expected.values())
    grads = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    assert set(grads) == set(expected)
    for name, grad in expected.items():
        assert float((grads[name] - grad).abs().max()) <= 1e-5 * largest, name


@pytest.mark.parametrize("head", HEADS)
def test_tuples(head):
    ours, peer = make_pair(head)
    arguments = {"input_ids": make_ids(*shape(head)), "output_hidden_states": True, "output_attentions": True}
    a, e = (model(**arguments, **make_labels(head), return_dict=False) for model in (ours, peer))
    assert [type(x) for x in a] == [type(x) for x in e] and [len(x) for x in a[-2:]] == [len(x) for x in e[-2:]]
    for x, y in zip(a[:-2], e[:-2], strict=True):
        assert_close(x, y)
    # what transformers returns as attention is the product of our first two factors
    for factors, expected in zip(a[-1], e[-1], strict=True):
        assert_close(factors.kernel_1 @ factors.inverse, expected, 2e-5)


def test_attention_maps_of_softmax():
    ours, peer = make_pair(segment_means_seq_len=6)
    ids = make_ids(2, 17)
    a, e = (model(ids, output_attentions=True).attentions for model in (ours, peer))
    for actual, expected in zip(a, e, strict=True):
        assert_close(actual, expected)


def test_softmax_at_any_length_without_padding():
    ours, peer = make_pair(segment_means_seq_len=6)
    for length in (1, 5, 6, 7, 40):
        ids = make_ids(3, length)
        assert_close(ours(ids).last_hidden_state, peer(ids).last_hidden_state)


def test_attention_type_softmax_means_what_equal_numbers_mean():
    ours, peer = make_pair(segment_means_seq_len=6)
    ours.config.attention_type, ours.config.segment_means_seq_len = "softmax", 24
    ids = make_ids(2, 20)
    assert_close(ours(ids).last_hidden_state, peer(ids).last_hidden_state)


def test_embeddings_as_input_and_given_positions():
    ours, peer = make_pair()
    embeds = torch.randn(1, LENGTH, 32, generator=torch.Generator().manual_seed(0))
    positions = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:LENGTH][None]
    for arguments in ({"inputs_embeds": embeds}, {"inputs_embeds": embeds, "position_ids": positions}):
        assert_close(ours(**arguments).last_hidden_state, peer(**arguments).last_hidden_state)


@pytest.mark.parametrize(
    ("num_labels", "problem", "labels"),
    [
        (1, None, torch.tensor([0.3, -1.0])),
        (1, "regression", torch.tensor([[0.3], [-1.0]])),
        (3, "regression", torch.randn(2, 3)),
        (3, None, torch.tensor([2, 0])),
        (3, "single_label_classification", torch.tensor([2, 0])),
        (3, None, torch.tensor([[1.0, 0, 1], [0, 0, 0]])),
        (3, "multi_label_classification", torch.tensor([[1.0, 0, 1], [0, 0, 0]])),
    ],
)
def test_problem_types(num_labels, problem, labels):
    # softmax, since the Nyström path of transformers takes one row only
    changes = {"num_labels": num_labels, "problem_type": problem, "segment_means_seq_len": 6}
    ours, peer = make_pair("ForSequenceClassification", **changes)
    ids = make_ids(2, 10)
    assert_close(ours(ids, labels=labels).loss, peer(ids, labels=labels).loss)
    assert ours.config.problem_type == problem  # forward keeps no state


def test_several_choices():
    ours, peer = make_pair("ForMultipleChoice", segment_means_seq_len=6)
    ids, labels = make_ids(2, 3, 10), torch.tensor([1, 2])
    a, e = ours(ids, labels=labels), peer(ids, labels=labels)
    assert a.logits.shape == (2, 3)
    assert_close(a.logits, e.logits)
    assert_close(a.loss, e.loss)


@pytest.mark.parametrize("head", HEADS)
def test_parameters_of_forward_have_the_same_order_and_defaults(head):
    ours, peer = (
        inspect.signature(getattr(module, f"Nystromformer{head}").forward).parameters.values()
        for module in (nystromformer, peer_module)
    )
    positional = [(p.name, p.default) for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [(p.name, p.default) for p in peer if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in ours)
