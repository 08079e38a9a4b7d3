"""Many inputs of ever new lengths, in one process: no memory is kept."""

import sys

import pytest

from tests._support import run_python
from tests.models.hub_models import FAMILIES

# Memory in MiB after each of three rounds over the same inputs, and tensors that live. glibc returns freed blocks of
# 64 KiB and more at once, so that what is left is what somebody keeps.
SOAK = """
import ctypes, gc, sys
if sys.platform == "linux":
    ctypes.CDLL("libc.so.6").mallopt(-3, 1 << 16)

import torch
from tests.models.hub_models import make, make_inputs

def resident():
    gc.collect()
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

def tensors():
    gc.collect()
    return sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())

model = make(sys.argv[1], "ForTokenClassification", hidden_size=64, max_position_embeddings=2100)
lengths = range(7, 2000, int(sys.argv[2]))
found = []
for _ in range(3):
    for length in lengths:
        with torch.no_grad():
            model(**make_inputs(sys.argv[1], 2, length))
        if length % 5 == 0:
            inputs = make_inputs(sys.argv[1], 1, length)
            model(**inputs, labels=inputs["input_ids"] % 3).loss.backward()
            model.zero_grad()
    found.append((resident(), tensors()))
print(len(lengths), *(x for pair in found for x in pair))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("family", FAMILIES)
def test_memory_is_flat(family):
    passes, *numbers = map(float, run_python(SOAK, family, "31", timeout=500).split())
    memory, tensors = numbers[::2], numbers[1::2]
    assert passes > 60
    assert tensors[2] == tensors[1]
    # one hidden state of each pass, kept, would be 65 * 2 * 1,000 * 64 * 4 bytes = 33 MB a round
    assert memory[2] - memory[1] < 12, memory
