"""Every Keras class computes what the torch class computes from the same checkpoint, on every backend."""

import json

import pytest

from tests.keras import references
from tests.keras.support import run

TOLERANCE = 1e-5
COMPILED = [("tensorflow", "graph"), ("tensorflow", "jit"), ("jax", "jit")]


def check(backend, mode, folder, case):
    found = [json.loads(line) for line in run(backend, "tests.keras.parity", folder, mode, f"{case}/*")]
    for result in found:
        assert result["errors"].keys() >= {"attentions", "hidden_states"}
        assert mode == "forward" or "gradients" in result["errors"]
        wrong = {kind: x for kind, x in result["errors"].items() if not x <= TOLERANCE}
        assert not wrong, f"{result['case']} {result['class']} {mode}: {wrong}"
    assert {(result["case"], result["class"]) for result in found} == {(case, name) for name in references.CLASSES}


# two documents of 75 and 41 tokens, padded; six and no global tokens; another window in each layer
@pytest.mark.parametrize(("backend", "mode"), [("tensorflow", "eager"), ("jax", "forward")])
def test_every_class_on_a_ragged_batch(ragged, backend, mode):
    check(backend, mode, ragged, "ragged")


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "mode"), COMPILED)
def test_every_class_compiled(ragged, backend, mode):
    check(backend, mode, ragged, "ragged")


@pytest.mark.slow
@pytest.mark.grid
@pytest.mark.parametrize("case", references.CASES)
@pytest.mark.parametrize(("backend", "mode"), [("tensorflow", "eager"), *COMPILED, ("torch", "eager")])
def test_every_class_on_every_case(references_of_all, backend, mode, case):
    check(backend, mode, references_of_all, case)
