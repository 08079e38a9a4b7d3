"""The fused backend against the reference in float64: the result and every gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops.nystrom import nystrom_attention
from tests.ops.nystrom.cases import assert_equal, evaluate, make_inputs, segments

LAYOUTS = {
    "right padding": segments("0000000000000000", "00000000000.....", "00000..........."),
    "left padding": segments("0000000000000000", ".....00000000000", "...........00000"),
    "both sides": segments("...0000000000...", ".0..............", "................"),
    "holes": segments("00.00000..000000", "0.0.0.0.0.0.0.0.", ".....0.........0"),
    "packed": segments("0000000000111111", "0000011111222223", "7777777777777777"),
    "packed with padding": segments("..00000000.11111", "000.1111111111..", "00000000011...00"),
    "interleaved": segments("0101010101010101", "0011001100110011", "0123012301230123"),
    "ids change order": segments("9999999999000000", "5555555555555553", "3210321032103210"),
    "padding alone": segments("................", "................", "................"),
}


def both(inputs, weight, grad, num_landmarks=4, **options):
    return (
        evaluate(inputs, weight, grad, num_landmarks, backend=backend, **options) for backend in ("sdpa", "reference")
    )


@pytest.mark.usefixtures("nan_filled")
@pytest.mark.parametrize("kernel", [None, 1, 5, 33])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, kernel):
    ids = LAYOUTS[layout]
    assert_equal(*both(*make_inputs(3, 16, kernel=kernel), segment_ids=ids))
    if set(ids.unique().tolist()) <= {-1, 0}:
        assert_equal(*both(*make_inputs(3, 16, kernel=kernel), segment_ids=ids >= 0))


@pytest.mark.usefixtures("nan_filled")
@pytest.mark.parametrize("length", [*range(1, 14), 31, 64, 97])
def test_lengths(length):
    assert_equal(*both(*make_inputs(2, length)))


@pytest.mark.parametrize("num_landmarks", [1, 2, 7, 29, 30, 31, 500])
@pytest.mark.parametrize("exact", [False, True])
def test_landmarks_and_start_of_the_inverse(num_landmarks, exact):
    assert_equal(*both(*make_inputs(2, 30), num_landmarks=num_landmarks, exact_inverse_scale=exact), tolerance=1e-10)


@pytest.mark.parametrize("iterations", [0, 1, 10])
def test_iterations(iterations):
    assert_equal(*both(*make_inputs(2, 30), inverse_iterations=iterations), tolerance=1e-10)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 40),
    num_landmarks=st.integers(1, 12),
    kernel=st.sampled_from([None, 1, 3, 9]),
    exact=st.booleans(),
    data=st.data(),
)
def test_any_segments(batch, length, num_landmarks, kernel, exact, data):
    stretch = st.tuples(st.integers(-1, 3), st.integers(1, 20))
    rows = []
    for _ in range(batch):
        row = [ident for ident, times in data.draw(st.lists(stretch, min_size=1)) for _ in range(times)]
        rows.append((row * length)[:length])
    ids = torch.tensor(rows)
    inputs = make_inputs(batch, length, kernel=kernel)
    actual, expected = both(*inputs, num_landmarks, segment_ids=ids, exact_inverse_scale=exact)
    assert_equal(actual, expected, tolerance=1e-10)
    assert not actual[0][ids < 0].any()


def test_gradcheck():
    ids = segments("0000000000", "..00000111", ".00.000000")
    (q, k, v), weight, _ = make_inputs(3, 10, 2, 3, kernel=3)
    leaves = [x.requires_grad_() for x in (q, k, v, weight)]
    assert torch.autograd.gradcheck(
        lambda q, k, v, w: nystrom_attention(q, k, v, 4, segment_ids=ids, conv_weight=w), leaves
    )


def test_gradcheck_of_given_landmarks():
    ids = segments("0000000000", "..00000000", ".....000..")
    (q, k, v), _, _ = make_inputs(3, 10, 2, 3)
    (q_mean, k_mean, _), _, _ = make_inputs(3, 4, 2, 3, seed=1)
    leaves = [x.requires_grad_() for x in (q, k, v, q_mean, k_mean)]

    def attention(q, k, v, q_mean, k_mean, backend="sdpa"):
        return nystrom_attention(
            q, k, v, 4, segment_ids=ids, query_landmarks=q_mean, key_landmarks=k_mean, backend=backend
        )

    assert torch.autograd.gradcheck(attention, leaves)
    torch.testing.assert_close(attention(*leaves), attention(*leaves, backend="reference"))


def strided(x, how):
    if how == "heads first":
        return x.transpose(1, 2).contiguous().transpose(1, 2)
    if how == "last axis of stride 2":
        return torch.stack([x, torch.full_like(x, float("nan"))], -1)[..., 0]
    if how == "slice of a fused projection":
        return torch.cat([x, torch.full_like(x, float("nan"))], -1)[..., : x.shape[-1]]
    return x[:1].expand_as(x)


@pytest.mark.parametrize(
    "how", ["heads first", "last axis of stride 2", "slice of a fused projection", "one row expanded"]
)
@pytest.mark.parametrize("ids", [None, LAYOUTS["right padding"], LAYOUTS["packed"]], ids=["none", "padded", "packed"])
def test_strides_do_not_matter(how, ids):
    inputs, weight, grad = make_inputs(3, 16)
    views = [strided(x, how) for x in inputs]
    results = []
    for values in (views, [x.contiguous() for x in views]):
        leaves = [x.detach().requires_grad_() for x in values]
        context = nystrom_attention(*leaves, 4, segment_ids=ids, conv_weight=weight)
        results.append([context, *torch.autograd.grad(context, leaves, strided(grad, how))])
    assert_equal(*results)


def test_empty_batch_and_empty_rows():
    for shape in ((0, 5, 2, 4), (2, 0, 2, 4)):
        q = torch.randn(shape, requires_grad=True)
        context = nystrom_attention(q, q, q, 4, conv_weight=torch.randn(2, 3))
        context.sum().backward()
        assert context.shape == shape and q.grad.shape == shape


def test_only_some_inputs_need_a_gradient():
    (q, k, v), weight, grad = make_inputs()
    v.requires_grad_()
    context = nystrom_attention(q, k, v, 8, conv_weight=weight)
    (actual,) = torch.autograd.grad(context, v, grad)
    assert_equal([actual], [evaluate([q, k, v], weight, grad)[3]])
