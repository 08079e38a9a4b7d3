"""Properties that hold for any small input, found by hypothesis; the same examples in every run."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.window.cases import Inputs, assert_same, evaluate, make, naive

few = settings(max_examples=150, derandomize=True, deadline=None)


@st.composite
def inputs(draw: st.DrawFn, longest: int = 70, projections: bool = True) -> Inputs:
    batch, length = (
        draw(st.integers(0, 3)),
        draw(st.one_of(st.integers(0, longest), st.integers(longest // 2, longest))),
    )
    heads, size = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    sides = st.one_of(st.integers(0, 6), st.integers(0, 2 * longest), st.just(10**12))
    options = {}
    if draw(st.booleans()):
        options["dilation"] = draw(
            st.one_of(st.integers(1, 5), st.lists(st.integers(1, 5), min_size=heads, max_size=heads))
        )
    if draw(st.booleans()):
        options["segment_ids"] = draw_rows(draw, batch, length, st.integers(-2, 3))
    if draw(st.booleans()):
        options["global_mask"] = draw_rows(draw, batch, length, st.booleans())
    if projections and draw(st.booleans()):
        options["hidden"] = draw(st.integers(1, 6))
    if draw(st.booleans()):
        options["scale"] = draw(st.floats(0.01, 5.0))
    window = (draw(sides), draw(sides))
    return make(batch, length, window, heads, size, seed=draw(st.integers(0, 5)), **options)


def draw_rows(draw: st.DrawFn, batch: int, length: int, values: st.SearchStrategy) -> torch.Tensor:
    """Runs of one value, so that documents have some length, or a new value for each token."""
    run = draw(st.sampled_from([1, 1, 4, 13]))
    count = -(-length // run)
    rows = draw(st.lists(st.lists(values, min_size=count, max_size=count), min_size=batch, max_size=batch))
    return (
        torch.tensor(rows)
        .reshape(batch, count)
        .repeat_interleave(run, 1)[:, :length]
        .to(torch.tensor([draw(values)]).dtype)
    )


@few
@given(inputs())
def test_fused_equals_reference(case):
    assert_same(evaluate(case), evaluate(case, "reference"), 1e-10)


@settings(few, max_examples=15)
@given(inputs(longest=8))
def test_reference_equals_the_definition(case):
    if 10**12 not in case.options["window_size"]:
        assert_same(list(case.call(backend="reference", return_lse=True)), list(naive(case)), 1e-12)


@settings(few, max_examples=30)
@given(inputs(), st.data())
def test_rows_of_the_batch_in_another_order(case, data):
    order = torch.tensor(data.draw(st.permutations(range(len(case.grad)))), dtype=torch.long)

    def move(x):
        return x[order]

    projected = (move(case.projected[0]), *case.projected[1:]) if case.projected else ()
    rows = {k: move(v) for k, v in case.options.items() if k in ("segment_ids", "global_mask")}
    moved = Inputs(tuple(move(x) for x in case.attended), projected, move(case.grad), {**case.options, **rows})
    before, after = evaluate(case), evaluate(moved)
    per_row = 6 if projected else 5
    assert_same(after, [*(move(x) for x in before[:per_row]), *before[per_row:]], 1e-11)


@settings(few, max_examples=30)
@given(inputs(projections=False))
def test_context_lies_between_the_smallest_and_the_largest_value(case):
    """Weights are positive and sum to one."""
    context, value = case.call(), case.attended[2]
    if value.numel():
        low, high = value.amin(1, keepdim=True).clamp(max=0), value.amax(1, keepdim=True).clamp(min=0)
        assert (context >= low - 1e-12).all() and (context <= high + 1e-12).all()
