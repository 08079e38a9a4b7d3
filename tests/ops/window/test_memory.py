"""No tensor of N x N elements, nor of N x window for all heads, and a peak that grows as N does.

The operator hides its inside from a dispatch mode, so its two bodies are called directly.
"""

import sys
from typing import Any

import pytest
import torch

from longspan.ops.window import sdpa
from tests._support import Watch, peak_mib
from tests.ops.window.cases import Inputs, make

LENGTH, HEADS, SIZE = 3072, 2, 8
STATE = LENGTH * HEADS * SIZE  # elements of one query

PACKED = (torch.arange(LENGTH) * 7 // LENGTH)[None] - 1  # the first seventh is padding
FEW = torch.zeros(1, LENGTH, dtype=torch.bool).index_fill(1, torch.arange(0, LENGTH, 400), True)
MANY = torch.arange(LENGTH)[None] % 3 == 0
EVERY = torch.ones(1, LENGTH, dtype=torch.bool)

CASES = {
    "window": ((64, 64), {}),
    "wide": ((256, 256), {"segment_ids": PACKED, "global_mask": FEW, "hidden": 16}),
    "causal": ((256, 0), {"global_mask": FEW}),
    "dilated": ((64, 64), {"dilation": [1, 3], "segment_ids": PACKED}),
    "many globals": ((64, 64), {"global_mask": MANY, "hidden": 16}),
    "all global": ((64, 64), {"global_mask": EVERY}),
    "causal, longer than the row": ((LENGTH, 0), {}),
    "causal, longer than the row, packed": ((10**9, 0), {"segment_ids": PACKED, "global_mask": FEW}),
    "both sides longer than the row": ((LENGTH, LENGTH), {"global_mask": FEW, "hidden": 16}),
    "both sides longer than the row, packed": ((LENGTH, LENGTH), {"segment_ids": PACKED, "global_mask": MANY}),
}
DROPPED = [name for name in CASES if name != "many globals"]  # as "all global", only slower


def watch(inputs: Inputs, dropout_p: float = 0.0) -> Watch:
    """Largest tensor of forward and backward."""
    options = inputs.options
    heads = inputs.attended[0].shape[2]
    steps = options.get("dilation", 1)
    seed = torch.tensor([3]) if dropout_p else None
    rest = (
        options.get("segment_ids"), options.get("global_mask"), list(inputs.projected), *options["window_size"],
        [steps] * heads if isinstance(steps, int) else steps, 0.3, dropout_p, seed,
    )  # fmt: skip
    with Watch() as found:
        context, lse = body(sdpa._forward_op)(*inputs.attended, *rest, "aten")
        body(sdpa._backward_op)(inputs.grad, *inputs.attended, context, lse, *rest)
    return found


def body(operator: Any) -> Any:
    return operator._init_fn


@pytest.mark.parametrize(("name", "dropout_p"), [*((name, 0.0) for name in CASES), *((name, 0.1) for name in DROPPED)])
def test_largest_tensor(name, dropout_p):
    window, options = CASES[name]
    found = watch(make(1, LENGTH, window, HEADS, SIZE, **options).to(torch.float32), dropout_p)
    width = min(sum(window) + 1, LENGTH)
    # a step of 1,024 queries with its mask, or a few states
    bound = max(4 * STATE, 1024 * (width + 64))
    assert bound < LENGTH * width * HEADS
    assert found.elements <= bound, f"{found.operation} made {found.elements / STATE:.1f} states"


def test_watch_sees_a_dense_implementation():
    inputs = make(1, 512, (3, 3), HEADS, SIZE)
    with Watch() as found:
        inputs.call(backend="reference")
    assert found.elements >= 512 * 512 * HEADS


@pytest.mark.parametrize("how", ["last axis slow", "every other"])
def test_no_window_is_copied_for_strided_inputs(how):
    inputs = make(1, LENGTH, (64, 64), HEADS, SIZE).to(torch.float32)
    if how == "last axis slow":
        laid = [x.transpose(1, 3).contiguous().transpose(1, 3) for x in inputs.attended]
    else:
        laid = [torch.stack([x, x], -1).flatten(-2)[..., ::2] for x in inputs.attended]
    assert all(x.stride(-1) != 1 for x in laid)
    strided = Inputs(tuple(laid), (), inputs.grad, inputs.options)
    assert watch(strided).elements <= 4 * STATE


def test_interior_blocks_share_one_mask():
    """A long document needs masks at its two ends only."""
    masks = [watch(make(1, length, (64, 64), HEADS, SIZE)).calls["masked_fill"] for length in (2048, 8192)]
    assert masks[0] == masks[1]


MEASURED = """
from longspan.ops import sliding_window_attention
def work(length, dropout_p):
    q, k, v = (torch.randn(1, length, 4, 32, requires_grad=True) for _ in range(3))
    ids = (torch.arange(length) // 3000)[None]
    marks = torch.arange(length)[None] % 1000 == 0
    options = dict(segment_ids=ids, global_mask=marks, dropout_p=dropout_p)
    sliding_window_attention(q, k, v, (64, 64), **options).sum().backward()
for dropout_p in (0.0, 0.1):
    work(600, dropout_p)  # what torch itself sets up
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_doubles_with_the_length():
    works = [f"work({length}, {dropout_p})" for dropout_p in (0.0, 0.1) for length in (8_000, 16_000)]
    short, long, short_dropped, long_dropped = peak_mib(MEASURED, *works)
    assert long <= 2.2 * short and long_dropped <= 2.2 * short_dropped
    state = 16_000 * 4 * 32 * 4 / 2**20
    # three states are the inputs and three their gradients
    assert max(long, long_dropped) <= 14 * state, f"{long / state:.1f}, {long_dropped / state:.1f} states"
