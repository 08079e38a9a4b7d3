"""No tensor of N x m or N x N elements exists. The operator hides its inside, so its body is watched."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from longspan.ops.nystrom import sdpa
from tests.ops.nystrom.cases import make_inputs

LANDMARKS, HEADS, SIZE = 64, 2, 4


class Watch(TorchDispatchMode):
    """The largest tensor that any operation returns, and the sum of all."""

    def __init__(self):
        super().__init__()
        self.largest = self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                # storage, so that views (also overlapping ones) count what they stand on
                self.largest = max(self.largest, leaf.untyped_storage().nbytes() // leaf.element_size())
                self.total += leaf.numel()
        return result


def watch(length, packed):
    (q, k, v), weight, grad = make_inputs(1, length, HEADS, SIZE, kernel=9, dtype=torch.float32)
    ids = (torch.arange(length) * 5 // length)[None] if packed else None
    options = ids, None, None, weight, LANDMARKS, 6, False, 0.5
    found = Watch()
    with found:
        sdpa.forward(q, k, v, *options)
        sdpa.backward(grad, q, k, v, *options)
    return found


def test_no_matrix_of_tokens_by_landmarks_is_made():
    for packed in (False, True):
        found = watch(8192, packed)
        # the inputs have 8192 * 8 elements; one head's N x m would be 8 times that
        assert found.largest <= 1.1 * 8192 * HEADS * SIZE


def test_work_space_doubles_with_the_length():
    for packed in (False, True):
        assert watch(16384, packed).total <= 2.05 * watch(8192, packed).total


def test_the_watch_sees_what_it_looks_for():
    with Watch() as found:
        torch.randn(64, 4) @ torch.randn(4, 4096)
    assert found.largest == 64 * 4096
