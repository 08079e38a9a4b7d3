"""The kernel in C++ against the definition in float64, in every shape of window, document, head and memory.

The first test that runs compiles it (some ten seconds), or finds it in torch's folder of extensions.
"""

import os
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from longspan.ops.window import band as stock
from longspan.ops.window import cpp
from longspan.ops.window.band import Band
from tests._support import assert_close, assert_within_budget, error, run_python
from tests.ops.window.cases import ids

needs_kernel = pytest.mark.skipif(cpp.missing() is not None, reason=str(cpp.missing()))
needs_bfloat16 = pytest.mark.skipif(cpp.missing(torch.bfloat16) is not None, reason=str(cpp.missing(torch.bfloat16)))
TOLERANCE = 3e-6
NAMES = ("context", "lse")
FREE = 10**9  # wider than any row


def window(left: int, right: int, query_ids: Tensor, key_ids: Tensor | None = None, offset: int = 0) -> Band:
    return Band(left, right, query_ids, query_ids if key_ids is None else key_ids, offset)


def draw(queries: int, keys: int, heads: int = 2, size: int = 16, score: float = 1.0, seed: int = 0) -> list[Tensor]:
    """float64 values that are exact in bfloat16."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((queries, heads, size), (keys, heads, size), (keys, heads, size))
    query, key, value = (torch.randn(shape, generator=generator) for shape in shapes)
    return [x.bfloat16().double() for x in (query * score, key, value)]


def dense(query: Tensor, key: Tensor, value: Tensor, band: Band, scale: float) -> list[Tensor]:
    """The definition, with a score for every pair."""
    distance = torch.arange(len(key))[None] - torch.arange(len(query))[:, None] - band.offset
    seen = (distance >= -band.left) & (distance <= band.right)
    seen &= (band.query_ids[:, None] == band.key_ids) & (band.query_ids >= 0)[:, None]
    scores = torch.einsum("ihd,jhd->ihj", query, key) * scale
    scores = scores.masked_fill(~seen[:, None], float("-inf"))
    lse = scores.logsumexp(-1)
    blind = ~seen.any(-1)
    probabilities = (scores - lse.masked_fill(blind[:, None], 0.0)[..., None]).exp()
    return [torch.einsum("ihj,jhd->ihd", probabilities, value), lse.masked_fill(blind[:, None], 0.0)]


def check(band: Band, heads: int = 2, size: int = 16, score: float = 1.0, scale: float | None = None) -> None:
    """float32 against the definition; the rows that see nothing are exactly 0."""
    inputs = draw(len(band.query_ids), len(band.key_ids), heads, size, score)
    scale = size**-0.5 if scale is None else scale
    found = cpp.band_forward(*(x.float() for x in inputs), band, scale)
    expected = dense(*inputs, band, scale)
    assert found[0].dtype == found[1].dtype == torch.float32 and found[0].is_contiguous()
    assert_close(found, expected, TOLERANCE * max(1.0, score), NAMES)
    assert not found[0][expected[0].abs().amax((1, 2)) == 0].any()


def one(length: int) -> Tensor:
    return torch.zeros(length, dtype=torch.int64)


@needs_kernel
@pytest.mark.parametrize("length", [1, 5, 6, 7, 16, 97, 300])
@pytest.mark.parametrize(
    "sides", [(0, 0), (1, 1), (3, 4), (37, 0), (0, 37), (64, 64), (150, 133), (FREE, FREE)], ids=str
)
def test_windows_and_lengths(length, sides, nan_filled):
    check(window(*sides, one(length)))


@needs_kernel
def test_oracle_is_the_stock_path():
    """The definition of this file and the path that the kernel replaces are the same function."""
    band = Band(9, 4, *2 * [ids("00000..1111111111111.22222.0000000000000000000000000")[0]])
    inputs = draw(len(band.query_ids), len(band.key_ids))
    assert_close(stock.band_forward(*inputs, band, 0.3), dense(*inputs, band, 0.3), 1e-12, NAMES)


@needs_kernel
@pytest.mark.parametrize("length", [2300, 2500])
def test_windows_longer_than_one_step_of_the_softmax(length):
    """More than 1,024 keys: the softmax goes on from step to step, also where the first step holds nothing to see."""
    check(window(1100, 1200, one(length)), heads=1)
    key_ids = one(length)
    key_ids[:1500] = torch.arange(1500) % 2 + 1
    check(window(FREE, FREE, one(length), key_ids), heads=1)
    query_ids = torch.arange(length) % 3
    check(window(FREE, FREE, query_ids, key_ids), heads=1)


@needs_kernel
@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 32, 40, 48, 64, 80, 100, 128, 256])
def test_head_sizes(size, nan_filled):
    check(window(20, 11, one(75)), heads=3, size=size)


@needs_kernel
@pytest.mark.parametrize("heads", [1, 5, 12, 40])
def test_heads_walk_together(heads):
    """In one walk, or in several of unequal size."""
    check(window(200, 200, one(450)), heads=heads, size=64)


@needs_kernel
@pytest.mark.parametrize(
    "row",
    [
        "0" * 50 + "." * 30 + "1" * 40,
        "." * 33 + "0" * 60 + "." * 40,
        "." * 70,
        "0120120120120120120120120120120120120120",
        "0.0.00..000...0000....00000.....000000",
        "0000000111111122222223333333.4444444555555566666667777777",
        "5" * 97 + "." * 3 + "5" * 2 + "7" * 98,
    ],
)
@pytest.mark.parametrize("sides", [(0, 0), (3, 3), (20, 7), (FREE, FREE)], ids=str)
def test_documents_and_padding(row, sides, nan_filled):
    check(window(*sides, ids(row)[0]))


@needs_kernel
def test_keys_that_are_no_queries():
    """Global tokens are hidden as keys, or as queries, by ids of their own."""
    row = one(120)
    keys, queries = row.clone(), row.clone()
    keys[::7] = -2
    queries[::5] = -1
    check(window(9, 9, queries, keys))
    check(window(9, 9, queries, torch.full_like(keys, -1)))
    large = 2**40  # ids are compared in full
    check(window(9, 9, queries * large, torch.where(keys == 0, keys, keys * large)))
    check(window(9, 9, row + large, row))


@needs_kernel
@pytest.mark.parametrize(
    ("queries", "keys", "offset"), [(40, 100, 30), (40, 100, 90), (64, 70, -5), (50, 9, 0), (9, 300, 291)]
)
@pytest.mark.parametrize("sides", [(0, 0), (20, 20), (5, 0), (FREE, FREE)], ids=str)
def test_keys_with_an_offset(queries, keys, offset, sides, nan_filled):
    check(window(*sides, one(queries), one(keys), offset))


@needs_kernel
def test_pieces_with_an_offset_are_the_whole():
    """A row in pieces, each with the keys around it, gives what the row gives at once."""
    total, piece, left, right = 200, 48, 21, 10
    row = torch.arange(total) // 70
    q, k, v = (x.float() for x in draw(total, total))
    whole = cpp.band_forward(q, k, v, window(left, right, row), 0.25)
    found = []
    for start in range(0, total, piece):
        first, last = max(start - left, 0), min(start + piece + right, total)
        band = window(left, right, row[start : start + piece], row[first:last], start - first)
        found.append(cpp.band_forward(q[start : start + piece], k[first:last], v[first:last], band, 0.25))
    assert_close([torch.cat(parts) for parts in zip(*found, strict=True)], whole, 1e-6, NAMES)


@needs_kernel
def test_no_keys_and_no_queries():
    empty = torch.empty(0, 2, 16)
    context, lse = cpp.band_forward(torch.ones(7, 2, 16), empty, empty, window(3, 3, one(7), one(0)), 1.0)
    assert context.shape == (7, 2, 16) and lse.shape == (7, 2) and not context.any() and not lse.any()
    context, lse = cpp.band_forward(empty, *2 * [torch.ones(7, 2, 16)], window(3, 3, one(0), one(7)), 1.0)
    assert context.shape == (0, 2, 16) and lse.shape == (0, 2)


@needs_kernel
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bfloat16)], ids=str)
def test_memory_layouts(dtype):
    """Views of a fused projection, other orders of the axes, every other row, expanded heads, a strange last axis."""
    band = window(13, 20, one(77))
    fused = torch.randn(77, 3, 4, 24).to(dtype)
    views = [
        fused.unbind(1),
        [x.transpose(0, 1).contiguous().transpose(0, 1) for x in fused.unbind(1)],
        torch.randn(154, 3, 4, 24).to(dtype)[1::2].unbind(1),
        [x[:, :1].expand(-1, 4, -1) for x in fused.unbind(1)],
        [x.transpose(1, 2).contiguous().transpose(1, 2) for x in fused.unbind(1)],
        [x[..., 3:22] for x in fused.unbind(1)],
    ]
    for inputs in views:
        found = cpp.band_forward(*inputs, band, 0.2)
        expected = cpp.band_forward(*(x.contiguous() for x in inputs), band, 0.2)
        assert all(a.equal(e) for a, e in zip(found, expected, strict=True))


@needs_kernel
@pytest.mark.parametrize("scale", [100.0, 0.0, -0.7])
def test_scales(scale):
    """Scores of hundreds, of nothing, and turned round."""
    check(window(30, 30, one(150)), score=max(1.0, abs(scale)), scale=scale and scale / abs(scale) * 0.25)


@needs_kernel
def test_far_away_scores():
    """A sum that starts at 0 and then finds a score of thousands, and the other way round."""
    q = torch.ones(1, 1, 16, dtype=torch.float64)
    for peaks in ([5], [1050], [5, 1050], [1500, 2200]):
        k, v = torch.zeros(2300, 1, 16, dtype=torch.float64), torch.randn(2300, 1, 16, dtype=torch.float64)
        k[peaks] = 300.0
        band = window(FREE, FREE, one(1), one(2300))
        found = cpp.band_forward(q.float(), k.float(), v.float(), band, 1.0)
        assert_close(found, dense(q, k, v, band, 1.0), TOLERANCE, NAMES)


@needs_kernel
def test_nan_stays_where_it_is_seen():
    q, k, v = (x.float() for x in draw(200, 200))
    k[100] = float("nan")
    context, lse = cpp.band_forward(q, k, v, window(5, 5, one(200)), 0.25)
    seen = (torch.arange(200) - 100).abs() <= 5
    for x in (context.flatten(1), lse):
        assert x[seen].isnan().all() and x[~seen].isfinite().all()


@needs_bfloat16
@pytest.mark.parametrize("sides", [(0, 0), (9, 9), (15, 0), (200, 200), (700, 700)], ids=str)
@pytest.mark.parametrize("size", [7, 16, 64])
@pytest.mark.parametrize("score", [1.0, 100.0])
def test_bfloat16_is_as_good_as_the_stock_path(sides, size, score, nan_filled):
    row = (torch.randint(-1, 3, (1500,), generator=torch.Generator().manual_seed(1))).sort().values
    band = window(*sides, row)
    inputs = draw(1500, 1500, 2, size, score)
    half = [x.bfloat16() for x in inputs]
    found = cpp.band_forward(*half, band, size**-0.5)
    assert found[0].dtype == torch.bfloat16 and found[1].dtype == torch.float32
    plain = stock.band_forward(*half, Band(*sides, row, row), size**-0.5)
    assert_within_budget(found, plain, dense(*inputs, band, size**-0.5), 1.25, 1e-5 * score, NAMES)


@needs_bfloat16
def test_bfloat16_with_an_offset_and_documents():
    inputs = draw(100, 170, 3, 33)
    band = window(31, 12, torch.arange(100) // 40, torch.arange(170) // 60, 17)
    found = cpp.band_forward(*(x.bfloat16() for x in inputs), band, 0.2)
    assert error(found[0], dense(*inputs, band, 0.2)[0]) < 2e-2
    assert error(found[1], dense(*inputs, band, 0.2)[1]) < 1e-5


@needs_kernel
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_band(data):
    queries, keys = data.draw(st.integers(1, 90), "queries"), data.draw(st.integers(0, 90), "keys")
    left, right = (data.draw(st.one_of(st.integers(0, 20), st.integers(0, 200)), name) for name in ("left", "right"))
    kinds = st.integers(-1, data.draw(st.integers(0, 3), "documents"))
    query_ids, key_ids = (
        torch.tensor(data.draw(st.lists(kinds, min_size=n, max_size=n)), dtype=torch.int64) for n in (queries, keys)
    )
    if data.draw(st.booleans(), "packed"):
        query_ids, key_ids = query_ids.sort().values, key_ids.sort().values
    offset = data.draw(st.integers(-60, 60), "offset")
    check(window(left, right, query_ids, key_ids, offset), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 40)))


@needs_kernel
def test_threads_change_nothing():
    inputs = [x.float() for x in draw(500, 500, 5, 64)]
    row = (torch.arange(500) // 90).masked_fill(torch.arange(500) < 40, -1)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            found.append(cpp.band_forward(*inputs, window(50, 50, row), 0.125))
        finally:
            torch.set_num_threads(before)
    for other in found[1:]:
        assert all(a.equal(b) for a, b in zip(found[0], other, strict=True))


@needs_kernel
def test_calls_from_several_threads():
    inputs = [x.float() for x in draw(200, 200)]
    expected = cpp.band_forward(*inputs, window(9, 9, one(200)), 0.25)
    found: list[bool] = []

    def call() -> None:
        cpp.build()
        for _ in range(20):
            result = cpp.band_forward(*inputs, window(9, 9, one(200)), 0.25)
            found.append(all(a.equal(e) for a, e in zip(result, expected, strict=True)))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80


@needs_kernel
def test_import_compiles_nothing_and_reload_is_harmless():
    cpp.build()
    code = """
import importlib, sys
from longspan.ops.window import cpp
assert "torch.utils.cpp_extension" not in sys.modules and not hasattr(torch.ops.longspan_cpp, "band_forward")
cpp.build()
importlib.reload(cpp).build()
print(hasattr(torch.ops.longspan_cpp, "band_forward"))
"""
    assert run_python(code).strip().endswith("True")


def test_refuses_other_dtypes_and_devices():
    x = torch.ones(7, 2, 16)
    for dtype in (torch.float64, torch.float16):
        with pytest.raises(NotImplementedError, match=rf"float32 and torch.bfloat16, got {dtype}; 'sdpa'"):
            cpp.band_forward(*3 * [x.to(dtype)], window(1, 1, one(7)), 1.0)
    with pytest.raises(NotImplementedError, match="on the CPU, got tensors on 'meta'"):
        cpp.band_forward(*3 * [x.to("meta")], window(1, 1, one(7)), 1.0)


@pytest.mark.parametrize("absent", ["avx512_f", "avx512_bf16", "ninja", "compiler"])
def test_says_what_is_missing(absent, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(cpp._INSTRUCTIONS[torch.bfloat16], True))
    monkeypatch.setattr(cpp.shutil, "which", lambda program, path=None: f"/usr/bin/{program}")
    cpp.missing.cache_clear()
    try:
        assert cpp.missing(torch.bfloat16) is None
        cpp.missing.cache_clear()
        if absent.startswith("avx"):
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": absent != "avx512_f"})
            expected = f"needs a CPU with .*{absent}"
        else:
            name = {"compiler": os.environ.get("CXX", "c++")}.get(absent, absent)
            monkeypatch.setattr(cpp.shutil, "which", lambda program, path=None: None if program == name else program)
            expected = rf"{name.replace('+', '.')}', needed to compile it, is not found"
        with pytest.raises(NotImplementedError, match=f"{expected}.*'sdpa'"):
            cpp.band_forward(*3 * [torch.ones(7, 2, 16).bfloat16()], window(1, 1, one(7)), 1.0)
    finally:
        cpp.missing.cache_clear()


@needs_kernel
def test_refuses_what_it_would_read_past():
    x = torch.ones(7, 2, 16)
    for name, arguments in {
        "key": (x, x[:, :1], x, window(1, 1, one(7))),
        "value": (x, x, x[:6], window(1, 1, one(7))),
        "query_ids": (x, x, x, window(1, 1, one(6), one(7))),
        "key_ids": (x, x, x, window(1, 1, one(7), one(6))),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} must be"):
            cpp.band_forward(*arguments, 1.0)
    with pytest.raises(ValueError, match=r"^value must be torch.float32 on cpu, got torch.float64"):
        cpp.band_forward(x, x, x.double(), window(1, 1, one(7)), 1.0)


def test_sources_lie_beside_the_module():
    """What the wheel takes from the package's folder is what the compiler is given."""
    folder = Path(cpp.__file__).parent
    assert {file.name for file in folder.iterdir() if file.is_file()} == {
        "__init__.py",
        "band.cpp",
        "kernel.h",
        "pack.h",
        "plan.h",
    }
