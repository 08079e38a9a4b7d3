"""Reading in pieces gives what the operation gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops.nystrom import nystrom_attention
from longspan.ops.nystrom.stream import NystromStream
from tests._support import error, peak_mib
from tests.ops.nystrom.cases import segments

HEADS, SIZE, LANDMARKS = 2, 6, 4
LAYOUTS = {
    "one document": None,
    "padded": segments(
        "....0000000000000000000000000", "00000000000000000............", "............................."
    ),
    "bool": segments("....0000000000000000000000000", "00000000000000000............", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0")
    >= 0,
    "packed": segments(
        "00000000000000111122222222222", "33344444444444444444445555555", "66666666666666666666666666666"
    ),
    "holes": segments(
        "00000000.........000000000000", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0", "...0..0000..11111.......11111"
    ),
    "interleaved": segments(
        "01010101010101010101010101010", "00000000000000000000011111111", "00011122200011122200011122200"
    ),
    "few valid tokens": segments(
        "0............................", "...........................00", "0.............0.............0"
    ),
}


def make(shape, kernel=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden, *weights = (
        torch.randn(x, generator=generator, dtype=torch.float64)
        for x in ((*shape, SIZE * HEADS), *[(SIZE * HEADS, SIZE * HEADS)] * 3, *[(SIZE * HEADS,)] * 3)
    )
    modules = []
    for weight, bias in zip(weights[:3], weights[3:], strict=True):
        module = torch.nn.Linear(SIZE * HEADS, SIZE * HEADS, dtype=torch.float64)
        module.weight.data, module.bias.data = weight / 3, bias
        modules.append(module.to(dtype))
    convolution = None if kernel is None else torch.randn(HEADS, kernel, generator=generator, dtype=torch.float64)
    return hidden.to(dtype), modules, None if convolution is None else convolution.to(dtype)


def read_in_pieces(hidden, modules, convolution, ids, piece=6, exact=False):
    """The context, written over the notes as a layer writes its result over them."""
    result = torch.full(hidden.shape, float("nan"), dtype=hidden.dtype)
    context = torch.full(hidden.shape, float("nan"), dtype=hidden.dtype)
    known = 0
    for rows, part in NystromStream(hidden, result, *modules, HEADS, LANDMARKS, ids, convolution, exact, piece):
        assert rows.start == known < rows.stop and part.shape == (rows.stop - rows.start, hidden.shape[2])
        known = rows.stop
        context.view(-1, hidden.shape[2])[rows] = part
        result.view(-1, hidden.shape[2])[rows] = float("nan")
    assert known == hidden[..., 0].numel()
    return context


def at_once(hidden, modules, convolution, ids, exact=False):
    query, key, value = (module(hidden).unflatten(-1, (HEADS, SIZE)) for module in modules)
    return nystrom_attention(
        query, key, value, LANDMARKS, segment_ids=ids, conv_weight=convolution, exact_inverse_scale=exact
    ).flatten(2)


@pytest.mark.usefixtures("nan_filled")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", [None, 1, 5, 33])
@pytest.mark.parametrize("piece", [5, 40])
@torch.no_grad()
def test_layouts(layout, kernel, piece):
    inputs, ids = make((3, 29), kernel), LAYOUTS[layout]
    assert error(read_in_pieces(*inputs, ids, piece), at_once(*inputs, ids)) <= 1e-12


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 40),
    piece=st.integers(1, 15),
    kernel=st.sampled_from([None, 3, 9]),
    exact=st.booleans(),
    data=st.data(),
)
@torch.no_grad()
def test_any_segments(batch, length, piece, kernel, exact, data):
    run = st.tuples(st.integers(-1, 3), st.integers(1, 30))
    rows = []
    for _ in range(batch):
        row = [ident for ident, times in data.draw(st.lists(run, min_size=1)) for _ in range(times)]
        rows.append((row * length)[:length])
    inputs, ids = make((batch, length), kernel), torch.tensor(rows)
    actual, expected = read_in_pieces(*inputs, ids, piece, exact), at_once(*inputs, ids, exact)
    assert error(actual, expected) <= 1e-10
    assert not actual[ids < 0].any()


@pytest.mark.parametrize("layout", ["one document", "packed", "holes"])
@torch.no_grad()
def test_single_precision(layout):
    inputs, ids = make((3, 29), dtype=torch.float32), LAYOUTS[layout]
    assert error(read_in_pieces(*inputs, ids), at_once(*inputs, ids)) <= 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("factor", [1, 30])
@torch.no_grad()
def test_half_precision_is_as_exact_as_at_once(dtype, factor):
    hidden, modules, convolution = make((1, 600), dtype=dtype)
    modules[0].weight *= factor
    actual, plain = (f(hidden, modules, convolution, None) for f in (read_in_pieces, at_once))
    exact = at_once(hidden.double(), [module.double() for module in modules], convolution.double(), None)
    assert actual.dtype == dtype and actual.isfinite().all()
    errors = [(x.double() - exact).square().mean().sqrt() for x in (actual, plain)]
    assert errors[0] <= 1.5 * errors[1]


@torch.no_grad()
def test_autocast_reaches_the_projections_only():
    inputs = make((1, 200), dtype=torch.float32)
    exact = at_once(*inputs, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        errors = [(f(*inputs, None).float() - exact).square().mean().sqrt() for f in (read_in_pieces, at_once)]
    assert 0 < errors[0] <= 1.5 * errors[1]


def test_work_space_does_not_grow_with_the_row():
    setup = """
from longspan.ops.nystrom.stream import NystromStream
def walk(length):
    with torch.inference_mode():
        for _ in NystromStream(hidden[:, :length], notes[:, :length], *modules, 4, 16, None, weight, False, 512):
            pass
modules = [torch.nn.Linear(64, 64) for _ in range(3)]
hidden, notes, weight = torch.randn(1, 200_000, 64), torch.zeros(1, 200_000, 64), torch.randn(4, 9)
walk(2000)
"""
    (extra,) = peak_mib(setup, "walk(200_000)")
    # a hidden state has 49 MiB; which run a token belongs to, as 64-bit numbers, 1.5
    assert extra < 16
