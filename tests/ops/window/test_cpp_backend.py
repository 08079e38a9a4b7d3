"""The backend "cpp": the driver of sdpa around the kernel in C++."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops.window import cpp
from tests._support import assert_within_budget, run_python
from tests.ops.window.cases import Inputs, assert_same, evaluate, make, random_globals, random_ids

pytestmark = pytest.mark.skipif(cpp.missing() is not None, reason=str(cpp.missing()))


def check(inputs: Inputs) -> None:
    """float32 with its gradients, against the reference in float64."""
    expected = evaluate(inputs, "reference")
    assert_same([x.double() for x in evaluate(inputs.to(torch.float32), "cpp")], expected, 5e-6)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 150),
    st.tuples(st.integers(0, 60), st.integers(0, 60)),
    st.integers(0, 99),
    st.booleans(),
    st.sampled_from([None, 0.02, 0.3]),
    st.sampled_from([1, [1, 3]]),
)
def test_equals_the_reference(batch, length, window, seed, segmented, share, dilation):
    options = {
        "segment_ids": random_ids(batch, length, seed) if segmented else None,
        "global_mask": None if share is None else random_globals(batch, length, seed, share),
        "dilation": dilation,
    }
    check(make(batch, length, window, size=16, hidden=12 if seed % 2 else 0, seed=seed, **options))


def test_bfloat16_is_as_close_as_sdpa():
    if cpp.missing(torch.bfloat16):
        pytest.skip(str(cpp.missing(torch.bfloat16)))
    inputs = make(2, 200, (32, 16), size=16, hidden=32, global_mask=random_globals(2, 200, 0)).to(torch.bfloat16)
    exact = evaluate(inputs.to(torch.float64), "reference")
    assert_within_budget(evaluate(inputs, "cpp"), evaluate(inputs, "sdpa"), exact, 1.5, 1e-3)


def test_compiles_with_its_caller():
    inputs = make(1, 100, (8, 8), size=16).to(torch.float32)
    compiled = torch.compile(lambda q, k, v: inputs.call((q, k, v), backend="cpp"), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs.attended), inputs.call(backend="sdpa"), atol=1e-5, rtol=1e-5)


def test_refuses_what_it_cannot_do():
    inputs = make(1, 40, (8, 8), size=16)
    with pytest.raises(NotImplementedError, match=r"'cpp' cannot run here: .*float64; 'sdpa' and 'reference'"):
        inputs.call(backend="cpp")
    with pytest.raises(ValueError, match=r"dropout_p must be 0 with the backend 'cpp'.*got 0.1; 'sdpa' and 'ref"):
        inputs.to(torch.float32).call(backend="cpp", dropout_p=0.1)


def test_a_compiler_that_fails_is_named_and_needed_by_nobody_else(tmp_path: Path):
    broken = tmp_path / "broken-c++"
    broken.write_text(f"#!{sys.executable}\nraise SystemExit('no space left for objects')\n")
    broken.chmod(0o755)
    code = """
import os, sys
os.environ["CXX"], os.environ["TORCH_EXTENSIONS_DIR"] = sys.argv[1:]
from longspan import sliding_window_attention
x = torch.randn(1, 40, 2, 16)
print(tuple(sliding_window_attention(x, x, x, (4, 4)).shape))
try:
    sliding_window_attention(x, x, x, (4, 4), backend="cpp")
except RuntimeError as error:
    print(error)
"""
    found = run_python(code, str(broken), str(tmp_path))
    assert found.startswith("(1, 40, 2, 16)\n")
    assert (
        f"'cpp' could not be compiled with '{broken}' (name another compiler in CXX); 'sdpa' and 'reference'" in found
    )
