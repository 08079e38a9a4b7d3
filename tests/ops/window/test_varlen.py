"""The backend of torch's varlen kernel, with a dense stand-in for the kernel, against the reference in float64."""

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops import GlobalStates
from longspan.ops.window import sequences, varlen, varlen_kernels
from longspan.ops.window.layout import read_tokens
from tests._support import assert_within_budget, error
from tests.ops.window import kernels
from tests.ops.window.cases import NAMES, assert_same, evaluate, ids, make, marks, random_globals, random_ids

BACKEND = "flash_varlen"


@pytest.fixture
def emulated(monkeypatch, nan_filled):
    """Torch's two kernels are the dense ones; any device and dtype goes."""
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernels.varlen_attn)
    monkeypatch.setattr(varlen_kernels, "_backward_operator", kernels.varlen_attn_backward)
    monkeypatch.setattr(varlen, "check_kernels", lambda query: None)


def check(inputs):
    assert_same(evaluate(inputs, BACKEND), evaluate(inputs, "reference"))


def test_stand_ins_have_the_signatures_of_torch():
    import torch.nn.attention.varlen as torch_varlen

    ours, theirs = (list(inspect.signature(f).parameters) for f in (kernels.varlen_attn, torch_varlen.varlen_attn))
    assert ours == theirs
    schema = torch.ops.torch_attn._varlen_attn_backward.default._schema
    assert list(inspect.signature(kernels.varlen_attn_backward).parameters) == [x.name for x in schema.arguments]


@pytest.mark.parametrize("window", [(0, 0), (1, 0), (0, 2), (2, 5), (8, 8), (40, 0), (500, 3), (10**9, 10**9)], ids=str)
def test_windows_and_lengths(window, emulated):
    for length in (1, 2, 3, 9, 33, 70):
        check(make(2, length, window, seed=length))
        check(make(2, length, window, seed=length, global_mask=random_globals(2, length, length, 0.1), hidden=6))


@pytest.mark.parametrize("share", [0.0, 0.03, 0.3, 1.0])
@pytest.mark.parametrize("hidden", [0, 6])
def test_padding_documents_and_globals(share, hidden, emulated):
    for seed in range(6):
        segment_ids = random_ids(3, 60, seed)
        segment_ids = segment_ids.sort(1).values  # padding on the left only: no document is interrupted
        options = {"segment_ids": segment_ids, "global_mask": random_globals(3, 60, seed, share), "hidden": hidden}
        check(make(3, 60, [(3, 3), (9, 0), (0, 4), (70, 70)][seed % 4], **options))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_documents(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.nn.attention.varlen.varlen_attn", kernels.varlen_attn)
        patch.setattr(varlen_kernels, "_backward_operator", kernels.varlen_attn_backward)
        patch.setattr(varlen, "check_kernels", lambda query: None)
        patch.setattr(sequences, "_STEP", data.draw(st.sampled_from([1, 3, 10, 65536]), "keys of a step"))
        pieces = data.draw(st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=5), "pieces")
        row = [number if real else -1 for number, (real, size) in enumerate(pieces) for _ in range(size)]
        length = len(row)
        flags = data.draw(st.lists(st.booleans(), min_size=length, max_size=length), "global")
        window = (data.draw(st.integers(0, 14), "left"), data.draw(st.integers(0, 14), "right"))
        segment_ids = torch.tensor([row, row[::-1], [-1] * length])
        global_mask = torch.tensor([flags, flags[::-1], flags])
        check(make(3, length, window, segment_ids=segment_ids, global_mask=global_mask, hidden=6))


def test_causal_with_globals_and_given_states(emulated):
    inputs = make(2, 40, (5, 0), hidden=6, global_mask=random_globals(2, 40, 1))
    states = GlobalStates(*(x.flip(1) for x in inputs.attended))
    found, expected = (
        inputs.call(global_projections=states, backend=b, return_lse=True) for b in (BACKEND, "reference")
    )
    assert_same(list(found), list(expected))


def test_no_padding_copies_nothing(emulated):
    """A batch of whole rows is packed as it is."""
    tokens = read_tokens(3, 20, None, None, torch.device("cpu"))
    found = sequences.read_sequences(tokens, 20, True)
    x = torch.randn(60, 2, 4)
    assert found.rows is None and found.pack(x) is x and found.unpack(x, 60) is x
    assert found.pairs.query_offsets.tolist() == [0, 20, 40, 60] and found.pairs.longest_key == 20


def test_runs_list_every_global_beyond_the_window_once():
    segment_ids = ids("0000000111111..2222222222")
    global_mask = marks("#.....#..#......#...#...#")
    tokens = read_tokens(1, 25, segment_ids, global_mask, torch.device("cpu"))
    packed = sequences.read_sequences(tokens, 25, False)
    assert packed.pack(tokens.ids).ge(0).all() and len(packed.rows) == 23
    seen = torch.zeros(23, 23, dtype=torch.bool)
    for runs in sequences.read_runs(packed, 2, 1):
        pairs = runs.pairs
        for n in range(len(pairs.query_offsets) - 1):
            columns = runs.columns[pairs.key_offsets[n] : pairs.key_offsets[n + 1]]
            assert len(columns.unique()) == len(columns)
            for i in range(int(pairs.query_offsets[n]), int(pairs.query_offsets[n + 1])):
                seen[runs.rows.start + i, packed.global_rows[columns]] = True
    ids_, flags = packed.pack(tokens.ids), packed.pack(tokens.is_global)
    offset = torch.arange(23) - torch.arange(23)[:, None]
    assert seen.equal((ids_[:, None] == ids_) & flags & ((offset < -2) | (offset > 1)))


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_steps_cover_every_run_with_keys(limit, monkeypatch):
    monkeypatch.setattr(sequences, "_STEP", limit)
    for seed in range(20):
        keys = torch.randint(0, 4, (17,), generator=torch.Generator().manual_seed(seed)).tolist()
        steps = list(sequences._steps(keys))
        covered = [run for low, high in steps for run in range(low, high)]
        assert len(covered) == len(set(covered))
        assert {run for run, count in enumerate(keys) if count} <= set(covered)
        for low, high in steps:
            assert keys[low] and keys[high - 1]
            assert sum(keys[low:high]) <= limit or sum(x > 0 for x in keys[low:high]) == 1
    assert list(sequences._steps([0, 0])) == [] == list(sequences._steps([]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("score", [1.0, 100.0])
@pytest.mark.parametrize("share", [0.03, 0.5])
def test_half_precision(dtype, score, share, emulated):
    segment_ids = random_ids(4, 150, 2).sort(1).values
    options = {"segment_ids": segment_ids, "global_mask": random_globals(4, 150, 3, share), "hidden": 24}
    inputs = make(4, 150, (9, 9), size=16, score=score, **options).to(dtype)
    exact = evaluate(inputs.to(torch.float64), "reference")
    assert_within_budget(evaluate(inputs, BACKEND), evaluate(inputs, "reference"), exact, 3.0, names=NAMES)


def test_compiles_in_one_graph(emulated):
    inputs = make(2, 30, (3, 3), segment_ids=ids("0" * 30, "0" * 20 + "." * 10), global_mask=random_globals(2, 30, 1))

    def call(query):
        return inputs.call((query, *inputs.attended[1:]), backend=BACKEND) * 2

    query = inputs.attended[0].clone().requires_grad_()
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    found, expected = compiled(query), call(query)
    grads = [torch.autograd.grad(x.sum(), query)[0] for x in (found, expected)]
    assert error(found, expected) == 0 and error(*grads) == 0


@pytest.mark.parametrize("row", ["000.000", "00110", "0011..00"])
def test_interrupted_document_is_refused(row, emulated):
    inputs = make(2, len(row), (2, 2), segment_ids=ids("0" * len(row), row))
    message = (
        r"segment_ids must not interrupt a document .* token 0 of row 1 .*'flex_attention', 'sdpa' and 'reference'"
    )
    with pytest.raises(ValueError, match=message):
        inputs.call(backend=BACKEND)


def test_what_it_cannot_do_is_named(monkeypatch):
    inputs = make(1, 9, (2, 2)).to(torch.bfloat16)
    with pytest.raises(NotImplementedError, match="'flash_varlen' runs on CUDA, got tensors on 'cpu'; 'sdpa' and 'ref"):
        inputs.call(backend=BACKEND)
    with pytest.raises(ValueError, match=r"dropout_p must be 0 with the backend 'flash_varlen'.*got 0.1; 'sdpa' and"):
        inputs.call(backend=BACKEND, dropout_p=0.1)
    with pytest.raises(ValueError, match=r"dilation must be 1 with the backend 'flash_varlen'.*got 3; 'flex_att"):
        inputs.call(backend=BACKEND, dilation=[1, 3])


class _OnCuda:
    """As much of a tensor on CUDA as the check looks at."""

    def __init__(self, dtype, size):
        self.device, self.dtype, self.shape = torch.device("cuda"), dtype, (1, 9, 2, size)


@pytest.mark.parametrize(
    ("dtype", "size", "capability", "kind", "message"),
    [
        (torch.float32, 64, (9, 0), TypeError, "query must be of bfloat16 or float16 .* got torch.float32; 'flex"),
        (torch.bfloat16, 20, (9, 0), ValueError, "multiple of 8 and at most 256 .* got 20"),
        (torch.bfloat16, 264, (9, 0), ValueError, "multiple of 8 and at most 256 .* got 264"),
        (torch.float16, 64, (7, 5), NotImplementedError, "needs compute capability 8.0, T4 has 7.5; 'flex"),
    ],
)
def test_what_the_kernel_cannot_take_is_named(dtype, size, capability, kind, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "T4")
    with pytest.raises(kind, match=message):
        varlen_kernels.check_kernels(_OnCuda(dtype, size))
