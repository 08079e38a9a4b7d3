import pytest
import torch

from longspan.ops.nystrom import nystrom_attention

# no size of the first shape is that of another axis: equal numbers are taken for one
SHAPES = [(3, 33), (4, 50), (2, 4), (1, 7), (4, 100), (2, 9)]


def attention(query, key, value, weight, ids, **options):
    return nystrom_attention(query, key, value, 8, segment_ids=ids, conv_weight=weight, **options)


def make(batch, length, packed=True):
    generator = torch.Generator().manual_seed(batch * length)
    q, k, v = (torch.randn(batch, length, 2, 8, generator=generator, requires_grad=True) for _ in range(3))
    weight = torch.randn(2, 5, generator=generator, requires_grad=True)
    ids = torch.zeros(batch, length, dtype=torch.long)
    if packed:
        ids[0, length // 2 :] = 1
    ids[-1, length - 2 :] = -1
    return q, k, v, weight, ids


def check(compiled, expected_of, args):
    actual, expected = compiled(*args), expected_of(*args)
    torch.testing.assert_close(actual, expected)
    leaves = args[:4]
    grads = [torch.autograd.grad(x.square().sum(), leaves) for x in (actual, expected)]
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile_at_other_lengths(backend):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(attention, fullgraph=True, dynamic=True, backend=backend)
    for shape in SHAPES:
        check(compiled, attention, make(*shape))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 3  # a batch of one, and first use of a size


def test_compile_the_reference_with_a_mask():
    def masked(q, k, v, weight, ids):
        return attention(q, k, v, weight, ids >= 0, backend="reference", inverse_iterations=1)

    torch._dynamo.reset()
    compiled = torch.compile(masked, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in SHAPES[:2]:
        check(compiled, masked, make(*shape, packed=False))


@pytest.mark.parametrize("strict", [False, True])
def test_export_at_other_lengths(strict):
    class Module(torch.nn.Module):
        def forward(self, query, key, value, weight, ids):
            return attention(query, key, value, weight, ids)

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    axes = {0: batch, 1: length}
    program = torch.export.export(
        Module(), make(2, 33), dynamic_shapes=(axes, axes, axes, None, axes), strict=strict
    ).module()
    for shape in [*SHAPES, (1, 2)]:
        args = make(*shape)
        torch.testing.assert_close(program(*args), attention(*args))


def test_as_many_landmarks_as_tokens_under_compile():
    def softmax(q, k, v, ids):
        return nystrom_attention(q, k, v, q.shape[1], segment_ids=ids)

    torch._dynamo.reset()
    compiled = torch.compile(softmax, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in SHAPES[:3]:
        q, k, v, _, ids = make(*shape)
        torch.testing.assert_close(compiled(q, k, v, ids), softmax(q, k, v, ids))


@pytest.mark.parametrize("landmarks", [False, True])
def test_operator_is_registered_soundly(landmarks):
    q, k, v, weight, ids = make(2, 33, packed=not landmarks)
    means = [torch.randn(2, 8, 2, 8, requires_grad=True) if landmarks else None for _ in range(2)]
    args = (q, k, v, ids, *means, None if landmarks else weight, 8, 6, False, 0.3)
    torch.library.opcheck(torch.ops.longspan.nystrom_attention.default, args)


def test_checkpointing():
    args = make(2, 33)
    kept = torch.autograd.grad(attention(*args).square().sum(), args[:4])
    again = torch.utils.checkpoint.checkpoint(attention, *args, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(again.square().sum(), args[:4]), kept)


def test_meta_tensors():
    q = torch.randn(2, 9, 2, 4, device="meta")
    assert nystrom_attention(q, q, q, 4).shape == q.shape
