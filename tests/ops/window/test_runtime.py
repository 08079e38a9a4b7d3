"""The fused path is really taken, and holds in threads, under autocast, without gradients and under checkpointing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from longspan.ops.window import sdpa
from tests._support import Watch, assert_close, error
from tests.ops.window.cases import assert_same, evaluate, make, random_globals, random_ids

FORWARD = "_scaled_dot_product_flash_attention_for_cpu"
BACKWARD = f"{FORWARD}_backward"
# what an explicit softmax would call
EXPLICIT = {"_softmax", "softmax", "logsumexp", "exp"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("window", "options"),
    [
        ((4, 4), {}),
        ((4, 4), {"segment_ids": random_ids(2, 200, 3), "global_mask": random_globals(2, 200, 1), "hidden": 8}),
        ((300, 0), {}),
        ((300, 300), {"segment_ids": random_ids(2, 200, 3), "global_mask": random_globals(2, 200, 1), "hidden": 8}),
    ],
    ids=["window", "window and all", "short, causal", "short and all"],
)
def test_fused_kernel_is_taken(dtype, window, options):
    inputs = make(2, 200, window, **options).to(dtype)
    rest = (
        options.get("segment_ids"), options.get("global_mask"), list(inputs.projected), *window, [1, 1], 0.5, 0.0, None,
    )  # fmt: skip
    with Watch() as forward:
        context, lse = sdpa._forward_op._init_fn(*inputs.attended, *rest, "aten")
    with Watch() as backward:
        sdpa._backward_op._init_fn(inputs.grad, *inputs.attended, context, lse, *rest)
    assert forward.calls[FORWARD] and backward.calls[BACKWARD]
    assert not EXPLICIT & (set(forward.calls) | set(backward.calls))


class Calls(Watch):
    """Query and mask of each forward call of the kernel."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ == FORWARD:
            self.seen.append((args[0], (kwargs or {}).get("attn_mask")))
        return super().__torch_dispatch__(func, types, args, kwargs)


def test_masks_are_four_dimensional_floats():
    """Any other mask makes stock attention take its slow path in silence."""
    inputs = make(2, 200, (4, 4), segment_ids=random_ids(2, 200, 3)).to(torch.float32)
    with Calls() as found:
        sdpa._forward_op._init_fn(
            *inputs.attended, inputs.options["segment_ids"], None, [], 4, 4, [1, 1], 0.5, 0.0, None, "aten"
        )
    masks = [mask for _, mask in found.seen if mask is not None]
    assert masks and all(x.dim() == 4 and x.dtype == torch.float32 and x.shape[1] == 1 for x in masks)


@pytest.mark.parametrize(
    ("length", "window", "masked"),
    [(1, (0, 0), False), (100, (99, 99), False), (100, (99, 98), True), (100, (99, 0), True), (100, (50, 49), True)],
    ids=str,
)
def test_short_input_is_one_dense_call(length, window, masked):
    """No window is paid for where it covers the row, and no mask where every token sees all."""
    inputs = make(2, length, window).to(torch.float32)
    with Calls() as found:
        sdpa._forward_op._init_fn(*inputs.attended, None, None, [], *window, [1, 1], 0.5, 0.0, None, "aten")
    ((query, mask),) = found.seen
    assert query.shape == (2, 2, length, 4) and (mask is not None) == masked


def test_eight_threads():
    options = {"hidden": 6, "global_mask": random_globals(2, 150, 1), "segment_ids": random_ids(2, 150, 3)}
    inputs = [make(2, 150, (4, 4), seed=seed, **options) for seed in range(8)]
    expected = [evaluate(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for found in (list(pool.map(evaluate, inputs)) for _ in range(3)):
            for a, e in zip(found, expected, strict=True):
                assert_same(a, e, 0.0)


@pytest.mark.parametrize("projected", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("window", [(4, 4), (200, 200)], ids=str)
def test_autocast_computes_in_the_dtype_given(projected, window):
    """Under autocast linear layers hand over bfloat16 queries, and float32 weights with hidden states of either."""
    inputs = make(2, 100, window, hidden=8, global_mask=random_globals(2, 100, 1))
    attended = [x.to(torch.bfloat16).requires_grad_() for x in inputs.attended]
    states = [inputs.projected[0].to(projected), *(x.to(torch.float32) for x in inputs.projected[1:])]
    states = [x.requires_grad_() for x in states]
    with torch.autocast("cpu", torch.bfloat16):
        context = inputs.call(attended, states)
    grads = torch.autograd.grad(context, [*attended, *states], inputs.grad.to(torch.bfloat16))
    assert context.dtype == torch.bfloat16
    assert [x.dtype for x in grads] == [x.dtype for x in (*attended, *states)]
    expected = evaluate(inputs, "reference")
    assert_close([context, *grads], [expected[0], *expected[2:]], 3e-2)


def test_autocast_leaves_float32_alone():
    inputs = make(2, 100, (4, 4), hidden=8, global_mask=random_globals(2, 100, 1)).to(torch.float32)
    expected = evaluate(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(evaluate(inputs), expected, 0.0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("window", [(4, 4), (200, 200)], ids=str)
def test_without_gradients(mode, window):
    options = {"hidden": 8, "global_mask": random_globals(2, 100, 1), "segment_ids": random_ids(2, 100, 3)}
    expected = make(2, 100, window, **options).call()
    with mode():
        inputs = make(2, 100, window, **options)  # inference tensors in inference mode
        context = inputs.call()
    assert not context.requires_grad and context.equal(expected)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(reentrant):
    inputs = make(2, 100, (4, 4), hidden=8, global_mask=random_globals(2, 100, 1))
    leaves = [x.clone().requires_grad_() for x in (*inputs.attended, *inputs.projected)]
    context = checkpoint(lambda *x: inputs.call(x[:3], x[3:]), *leaves, use_reentrant=reentrant)
    context.backward(inputs.grad)
    expected = evaluate(inputs)
    assert context.equal(expected[0])
    for leaf, e in zip(leaves, expected[2:], strict=True):
        assert leaf.grad.equal(e)


def test_gradients_accumulate():
    inputs = make(1, 60, (4, 4))
    leaves = [x.clone().requires_grad_() for x in inputs.attended]
    for _ in range(2):
        inputs.call(leaves).backward(inputs.grad)
    for leaf, e in zip(leaves, evaluate(inputs)[2:], strict=True):
        assert error(leaf.grad, 2 * e) < 1e-12
