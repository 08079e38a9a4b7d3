"""FlexAttention: compiled on the CPU against the reference, and everything around the kernel, with gradients, in
float64 with a dense stand-in for it that checks the lists of blocks."""

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops import GlobalStates
from longspan.ops.window import flex, flex_blocks
from tests._support import Watch, error
from tests.ops.window import kernels
from tests.ops.window.cases import assert_same, evaluate, ids, make, marks, random_globals, random_ids

BACKEND = "flex_attention"


@pytest.fixture
def emulated(monkeypatch, nan_filled):
    """The kernel is dense and not compiled; any device and dtype goes."""
    _emulate(monkeypatch)


def _emulate(monkeypatch):
    monkeypatch.setattr("torch.nn.attention.flex_attention.flex_attention", kernels.flex_attention)
    monkeypatch.setattr(flex, "_compiled", lambda: flex._kernel)
    monkeypatch.setattr(flex, "_returns_lse", lambda query: True)
    monkeypatch.setattr(flex, "_check", lambda *args: None)


def check(inputs):
    assert_same(evaluate(inputs, BACKEND), evaluate(inputs, "reference"))


def forward(inputs, tolerance):
    """The compiled kernel itself."""
    exact = inputs.to(torch.float64).call(backend="reference")
    with torch.no_grad():
        found = inputs.call(backend=BACKEND)
    assert found.dtype == inputs.attended[0].dtype and found.shape == exact.shape
    assert error(found, exact) < tolerance
    return found


@pytest.fixture(scope="module")
def compilations():
    """How often the kernel was compiled since the last call."""
    from torch._dynamo.utils import counters

    def count():
        found = counters["stats"]["unique_graphs"]
        counters.clear()
        return found

    # no length of this one is another size by chance
    forward(make(1, 600, (7, 7), size=8).to(torch.float32), 1e-6)
    count()
    return count


def test_compiled_once_for_all_lengths_windows_and_documents(compilations):
    for length, window in [(1, (2, 2)), (90, (5, 0)), (300, (40, 3)), (515, (200, 200)), (700, (10**9, 0))]:
        plain = make(2, length, window, size=8)
        forward(plain.to(torch.float32), 1e-6)
        segment_ids = random_ids(2, length, length, interleaved=length == 300)
        global_mask = random_globals(2, length, length, 0.02)
        options = {"segment_ids": segment_ids, "global_mask": global_mask, "hidden": 6}
        packed = make(2, length, window, size=8, **options)
        found = forward(packed.to(torch.float32), 1e-6)
        assert found[segment_ids < 0].eq(0).all()
    assert compilations() == 0


def test_compiled_in_half_precision_and_with_a_scale():
    inputs = make(2, 400, (30, 30), size=8, scale=0.5, segment_ids=random_ids(2, 400, 1))
    forward(inputs.to(torch.bfloat16), 2e-2)


def test_compiled_with_dilation():
    inputs = make(2, 400, (30, 20), size=8, dilation=[1, 5], global_mask=random_globals(2, 400, 1, 0.02))
    forward(inputs.to(torch.float32), 1e-6)


def test_stand_in_has_the_parameters_of_torch():
    from torch.nn.attention.flex_attention import flex_attention

    theirs = inspect.signature(flex_attention).parameters
    assert set(inspect.signature(kernels.flex_attention).parameters) <= set(theirs)


@pytest.mark.parametrize("window", [(0, 0), (2, 5), (127, 128), (128, 0), (256, 255), (10**9, 10**9)], ids=str)
def test_windows_and_lengths(window, emulated):
    for length in (1, 5, 128, 300):
        check(make(2, length, window, seed=length))
        check(make(2, length, window, seed=length, global_mask=random_globals(2, length, length, 0.02), hidden=6))


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("interleaved", [False, True])
def test_padding_documents_and_globals(share, interleaved, emulated):
    for hidden in (0, 6):
        segment_ids = random_ids(3, 250, 3, interleaved)
        options = {"segment_ids": segment_ids, "global_mask": random_globals(3, 250, 3, share), "hidden": hidden}
        check(make(3, 250, (60, 30), **options))


@pytest.mark.parametrize("dilation", [2, [1, 4], [10**9, 3]], ids=str)
def test_dilation(dilation, emulated):
    for window in ((5, 5), (70, 0), (10**9, 1)):
        global_mask = random_globals(2, 200, 1, 0.02)
        check(make(2, 200, window, dilation=dilation, segment_ids=random_ids(2, 200, 2), global_mask=global_mask))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_blocks_hold_whatever_the_mask_sees(data):
    with pytest.MonkeyPatch.context() as patch:
        _emulate(patch)
        pieces = data.draw(st.lists(st.tuples(st.booleans(), st.integers(1, 250)), min_size=1, max_size=4), "pieces")
        row = [number if real else -1 for number, (real, size) in enumerate(pieces) for _ in range(size)]
        places = data.draw(st.lists(st.integers(0, len(row) - 1), max_size=3), "global")
        window = (data.draw(st.integers(0, 400), "left"), data.draw(st.integers(0, 400), "right"))
        global_mask = torch.zeros(1, len(row), dtype=torch.bool)
        global_mask[:, places] = True
        check(make(1, len(row), window, heads=1, segment_ids=torch.tensor([row]), global_mask=global_mask))


def test_scale_and_given_states(emulated):
    inputs = make(2, 140, (5, 0), scale=0.9, global_mask=random_globals(2, 140, 1, 0.05))
    check(inputs)
    states = GlobalStates(*(x.flip(1) for x in inputs.attended))
    both = (inputs.call(global_projections=states, backend=x, return_lse=True) for x in (BACKEND, "reference"))
    assert_same(*map(list, both))


def test_without_gradients_the_rows_are_the_same(emulated):
    segment_ids, global_mask = random_ids(2, 140, 3), random_globals(2, 140, 1, 0.05)
    inputs = make(2, 140, (5, 9), hidden=6, segment_ids=segment_ids, global_mask=global_mask)
    copies = [x.clone() for x in inputs.attended]
    with torch.no_grad():
        found = inputs.call(backend=BACKEND, return_lse=True)
    assert_same(list(found), evaluate(inputs, "reference")[:2])
    assert all(x.equal(copy) for x, copy in zip(inputs.attended, copies, strict=True))


def test_few_blocks_of_a_long_row():
    """A window of 512 over one document: three full blocks of five, none evaluated token by token."""
    with Watch() as watch:
        partial, full = flex_blocks.visible_blocks(torch.zeros(128 * 64, dtype=torch.long), None, 256, 256, False)
    assert full[5:-5].sum(1).eq(3).all() and partial[5:-5].sum(1).eq(2).all()
    assert watch.elements <= 128 * 64
    documents = torch.arange(128 * 64) // 1024
    partial, full = flex_blocks.visible_blocks(documents, None, 10**9, 10**9, False)
    assert full.sum(1).eq(8).all() and not partial.any()
    one = torch.zeros(128 * 64, dtype=torch.bool)
    one[1030] = True
    partial, full = flex_blocks.visible_blocks(documents, one, 0, 0, False)
    assert (partial | full).sum(1).tolist() == [1] * 8 + [1] + [2] * 7 + [1] * 48


def test_model_around_it_breaks_the_graph_and_one_graph_says_why():
    inputs = make(1, 600, (7, 7), size=8).to(torch.float32)

    def call(query):
        return inputs.call((query + 1, *inputs.attended[1:]), backend=BACKEND) * 2

    with torch.no_grad():
        with pytest.raises(torch._dynamo.exc.Unsupported, match="'flex_attention' compiles by itself; 'sdpa' is part"):
            torch.compile(call, backend="eager", fullgraph=True)(inputs.attended[0])
        expected = call(inputs.attended[0])
        assert error(torch.compile(call, backend="eager")(inputs.attended[0]), expected) == 0


def test_what_it_cannot_do_is_named():
    inputs = make(1, 9, (2, 2), hidden=6, global_mask=marks("#........"), segment_ids=ids("0" * 9)).to(torch.float32)
    with pytest.raises(ValueError, match=r"dropout_p must be 0 with the backend 'flex_attention'.* got 0.1; 'sdpa' a"):
        inputs.call(backend=BACKEND, dropout_p=0.1)
    with pytest.raises(TypeError, match=r"query must be of float32, .* got torch.float64; 'sdpa' and 'reference'"):
        inputs.to(torch.float64).call(backend=BACKEND)
    with pytest.raises(NotImplementedError, match=r"no gradients on a CPU: .*torch.no_grad\(\), or take 'sdpa'"):
        inputs.call([x.clone().requires_grad_() for x in inputs.attended], backend=BACKEND)
    with pytest.raises(NotImplementedError, match=r"no gradients on a CPU"):
        inputs.call(projected=[x.clone().requires_grad_() for x in inputs.projected], backend=BACKEND)
    with (
        torch.no_grad(),
        pytest.raises(NotImplementedError, match=r"'flex_attention' returns no log-sum-exp on 'cpu'; 'sdpa'"),
    ):
        make(1, 600, (7, 7), size=8).to(torch.float32).call(backend=BACKEND, return_lse=True)
    with pytest.raises(NotImplementedError, match=r"runs on a CPU and on CUDA, got tensors on 'meta'; 'sdpa'"):
        make(1, 9, (2, 2)).to(torch.float32).call([x.to("meta") for x in inputs.attended], (), backend=BACKEND)


class _OnCuda:
    device, dtype, shape = torch.device("cuda"), torch.float32, (1, 9, 2, 8)


def test_small_heads_on_cuda_are_refused():
    with pytest.raises(ValueError, match="head size of at least 16 with the backend 'flex_attention' on CUDA, got 8"):
        flex._check(_OnCuda(), None, None, None, 0.0)
