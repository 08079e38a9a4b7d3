"""Arguments of the operation: each wrong one is named, with what came and what is possible."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from longspan.ops import GlobalProjections, GlobalStates, sliding_window_attention
from tests._support import error
from tests.ops.window.cases import ids, make, naive

# those that do all of it on a CPU
EVERYWHERE = ("reference", "sdpa")

Q = torch.zeros(2, 5, 3, 4)


def call(**changes):
    arguments = {"query": Q, "key": Q, "value": Q, "window_size": (1, 1), **changes}
    return sliding_window_attention(**arguments)


def projections(**changes):
    hidden = changes.get("hidden_states", torch.zeros(2, 5, 6))
    width = hidden.shape[-1]
    tensors = {
        f"{p}_{k}": torch.zeros((12, width) if k == "weight" else 12)
        for p in ("query", "key", "value")
        for k in ("weight", "bias")
    }
    return GlobalProjections(**{"hidden_states": hidden, **tensors, **changes})


WRONG = [
    (
        {"query": Q[0]},
        ValueError,
        "query must have the shape (batch, tokens, heads >= 1, head size >= 1), got (5, 3, 4)",
    ),
    (
        {"query": Q[:, :, :0]},
        ValueError,
        "query must have the shape (batch, tokens, heads >= 1, head size >= 1), got (2, 5, 0, 4)",
    ),
    (
        {"query": Q[..., :0]},
        ValueError,
        "query must have the shape (batch, tokens, heads >= 1, head size >= 1), got (2, 5, 3, 0)",
    ),
    ({"query": Q.long()}, TypeError, "query must be of a floating dtype, got torch.int64"),
    ({"query": Q.to(torch.complex64)}, TypeError, "query must be of a floating dtype, got torch.complex64"),
    ({"query": [1.0]}, TypeError, "query must be a tensor, got list"),
    ({"key": None}, TypeError, "key must be a tensor, got NoneType"),
    ({"key": Q[:1]}, ValueError, "key must have the shape of query, (2, 5, 3, 4), got (1, 5, 3, 4)"),
    ({"value": Q[:, :4]}, ValueError, "value must have the shape of query, (2, 5, 3, 4), got (2, 4, 3, 4)"),
    ({"value": Q.double()}, TypeError, "value must have the dtype of query, torch.float32, got torch.float64"),
    ({"window_size": 3}, ValueError, "window_size must be a pair (left, right) of integers, got 3"),
    ({"window_size": (1, 2, 3)}, ValueError, "window_size must be a pair (left, right) of integers, got (1, 2, 3)"),
    (
        {"window_size": (-1, 2)},
        ValueError,
        "window_size must be a pair of integers >= 0, of 64 bits at most, got (-1, 2)",
    ),
    (
        {"window_size": (1.0, 2)},
        ValueError,
        "window_size must be a pair of integers >= 0, of 64 bits at most, got (1.0, 2)",
    ),
    (
        {"window_size": (True, 2)},
        ValueError,
        "window_size must be a pair of integers >= 0, of 64 bits at most, got (True, 2)",
    ),
    (
        {"window_size": (2**70, 2)},
        ValueError,
        f"window_size must be a pair of integers >= 0, of 64 bits at most, got ({2**70}, 2)",
    ),
    ({"dilation": 2**70}, ValueError, f"dilation must be integers >= 1, of 64 bits at most, got {2**70}"),
    ({"dilation": 0}, ValueError, "dilation must be integers >= 1"),
    ({"dilation": True}, ValueError, "dilation must be integers >= 1"),
    ({"dilation": 2.0}, TypeError, "dilation must be an integer or a sequence of integers, got 2.0"),
    ({"dilation": [1, 2]}, ValueError, "dilation must be one integer or one per head (3), got 2"),
    ({"dilation": [1, 2, -3]}, ValueError, "dilation must be integers >= 1, of 64 bits at most, got [1, 2, -3]"),
    (
        {"segment_ids": Q[:, :, 0, 0]},
        TypeError,
        "segment_ids must hold integers (negative: padding), got torch.float32",
    ),
    (
        {"segment_ids": torch.zeros(2, 5) > 0},
        TypeError,
        "segment_ids must hold integers (negative: padding), got torch.bool",
    ),
    (
        {"segment_ids": torch.zeros(2, 4).long()},
        ValueError,
        "segment_ids must have the shape (batch, tokens) = (2, 5), got (2, 4)",
    ),
    (
        {"segment_ids": torch.zeros(5).long()},
        ValueError,
        "segment_ids must have the shape (batch, tokens) = (2, 5), got (5,)",
    ),
    ({"segment_ids": [[0] * 5] * 2}, TypeError, "segment_ids must be a tensor or None, got list"),
    ({"global_mask": torch.zeros(2, 5)}, TypeError, "global_mask must hold bools or integers, got torch.float32"),
    (
        {"global_mask": torch.zeros(1, 5).bool()},
        ValueError,
        "global_mask must have the shape (batch, tokens) = (2, 5), got (1, 5)",
    ),
    (
        {"global_projections": Q},
        TypeError,
        "global_projections must be GlobalProjections, GlobalStates or None, got Tensor",
    ),
    (
        {"global_projections": projections(hidden_states=Q)},
        ValueError,
        "global_projections.hidden_states must have the shape (2, 5, hidden size), got (2, 5, 3, 4)",
    ),
    (
        {"global_projections": projections(hidden_states=torch.zeros(2, 4, 6))},
        ValueError,
        "global_projections.hidden_states must have the shape (2, 5, hidden size), got (2, 4, 6)",
    ),
    (
        {"global_projections": projections(key_weight=torch.zeros(6, 12))},
        ValueError,
        "global_projections.key_weight must have the shape (12, 6), got (6, 12)",
    ),
    (
        {"global_projections": projections(value_bias=torch.zeros(6))},
        ValueError,
        "global_projections.value_bias must have the shape (12,), got (6,)",
    ),
    (
        {"global_projections": projections(query_bias=torch.zeros(12).half())},
        TypeError,
        "global_projections.query_bias must have the dtype of its hidden_states, torch.float32, got torch.float16",
    ),
    (
        {"global_projections": GlobalStates(Q, Q[:1], Q)},
        ValueError,
        "global_projections.key must have the shape and dtype of query",
    ),
    (
        {"global_projections": GlobalStates(Q, Q, Q.double())},
        ValueError,
        "global_projections.value must have the shape and dtype of query",
    ),
    ({"dropout_p": 1.0}, ValueError, "dropout_p must be a number in [0, 1), got 1.0"),
    ({"dropout_p": -0.1}, ValueError, "dropout_p must be a number in [0, 1), got -0.1"),
    ({"dropout_p": float("nan")}, ValueError, "dropout_p must be a number in [0, 1), got nan"),
    ({"dropout_p": "0.1"}, ValueError, "dropout_p must be a number in [0, 1), got '0.1'"),
    ({"scale": "1"}, TypeError, "scale must be a number or None, got '1'"),
    (
        {"backend": "eager"},
        ValueError,
        "backend must be one of 'reference', 'sdpa', 'cpp', 'flex_attention', 'flash_varlen', got 'eager'",
    ),
]


@pytest.mark.parametrize(
    ("changes", "kind", "message"), WRONG, ids=[f"{next(iter(w[0]))}-{i}" for i, w in enumerate(WRONG)]
)
def test_wrong_argument_is_named(changes, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call(**changes)


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_integers_of_other_kinds(backend):
    q = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    expected = sliding_window_attention(q, q, q, (1, 2), dilation=[1, 2, 1], backend=backend)
    for kind in (np.int64, np.uint8, torch.tensor):
        window, steps = (kind(1), kind(2)), [kind(1), kind(2), kind(1)]
        assert sliding_window_attention(q, q, q, window, dilation=steps, backend=backend).equal(expected)
    assert sliding_window_attention(q, q, q, np.array([1, 2]), dilation=[1, 2, 1], backend=backend).equal(expected)


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_largest_window(backend, dilation):
    q = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    results = [
        sliding_window_attention(q, q, q, (size, size), dilation=dilation, backend=backend) for size in (9, sys.maxsize)
    ]
    assert results[0].equal(results[1])


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_right_arguments(backend):
    assert call(backend=backend).shape == Q.shape
    context, lse = call(backend=backend, return_lse=True, window_size=[2, 0], dilation=(1, 2, 3), scale=1, dropout_p=0)
    assert context.shape == Q.shape and context.dtype == Q.dtype
    assert lse.shape == (2, 3, 5) and lse.dtype == torch.float32 and not lse.requires_grad


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_log_sum_exp(backend, dtype):
    inputs = make(
        2,
        30,
        (2, 2),
        segment_ids=ids("0" * 20 + "." * 10, "." * 30),
        global_mask=torch.arange(60).view(2, 30) % 7 == 0,
        hidden=6,
    )
    expected = naive(inputs.to(dtype).to(torch.float64))[1]
    lse = inputs.to(dtype).call(backend=backend, return_lse=True)[1]
    assert lse.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert lse[0, :, 20:].eq(-torch.inf).all() and lse[1].eq(-torch.inf).all()
    tolerance = {torch.float64: 1e-13, torch.float32: 1e-6}.get(dtype, 2e-2)
    assert error(lse[0, :, :20], expected[0, :, :20]) < tolerance


def test_log_sum_exp_is_not_differentiable():
    inputs = make(1, 9, (2, 2))
    leaves = [x.requires_grad_() for x in inputs.attended]
    for backend in EVERYWHERE:
        context, lse = inputs.call(leaves, backend=backend, return_lse=True)
        assert context.requires_grad and not lse.requires_grad


@pytest.mark.parametrize("window", [(2, 2), (40, 40)], ids=str)
def test_double_backward_raises(window):
    inputs = make(1, 30, window)
    leaves = [x.clone().requires_grad_() for x in inputs.attended]
    grads = torch.autograd.grad(inputs.call(leaves).sum(), leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="window_attention_backward"):
        torch.autograd.grad(sum(x.sum() for x in grads), leaves)


def test_inputs_are_not_changed():
    inputs = make(
        2, 50, (3, 3), hidden=6, global_mask=torch.arange(100).view(2, 50) % 9 == 0, segment_ids=ids("0" * 50, "." * 50)
    )
    copies = replace(
        inputs, attended=tuple(x.clone() for x in inputs.attended), projected=tuple(x.clone() for x in inputs.projected)
    )
    leaves = [x.clone().requires_grad_() for x in (*inputs.attended, *inputs.projected)]
    inputs.call(leaves[:3], leaves[3:]).square().sum().backward()
    for leaf, x in zip(leaves, (*copies.attended, *copies.projected), strict=True):
        assert leaf.detach().equal(x)
