"""A document's result depends on nothing but the document."""

import pytest
import torch

from longspan.ops.nystrom import nystrom_attention
from tests.ops.nystrom.cases import assert_equal, evaluate, make_inputs, segments

BACKENDS = pytest.mark.parametrize("backend", ["sdpa", "reference"])
IDS = {
    "ragged right": segments("00000000000000000000", "0000000000000.......", "00000..............."),
    "ragged left": segments("00000000000000000000", ".......0000000000000", "...............00000"),
    "packed": segments("00000000000000111111", "..000000111111112222", "66666666666666666665"),
}


@BACKENDS
@pytest.mark.parametrize("layout", IDS)
@pytest.mark.parametrize("exact", [False, True])
def test_documents_of_a_batch_equal_the_documents_alone(layout, exact, backend):
    ids, options = IDS[layout], {"exact_inverse_scale": exact, "backend": backend}
    inputs, weight, grad = make_inputs(3, 20, kernel=7)
    inputs[0] *= 3
    together = evaluate(inputs, weight, grad, 6, segment_ids=ids, **options)
    weight_grad = torch.zeros_like(weight)
    for row in range(3):
        for ident in ids[row][ids[row] >= 0].unique():
            member = ids[row] == ident
            alone = evaluate([x[row, member][None] for x in inputs], weight, grad[row, member][None], 6, **options)
            assert_equal([x[row, member][None] for x in together[:4]], alone[:4])
            weight_grad += alone[4]
    torch.testing.assert_close(together[4], weight_grad)


@BACKENDS
@pytest.mark.parametrize("layout", [*IDS, "holes"])
def test_what_stands_at_padding_changes_nothing(layout, backend):
    ids = IDS.get(layout, segments("00000..00000.000000.", "0.0.0.0.0.0.0.0.0.0.", "...................."))
    inputs, weight, grad = make_inputs(3, 20, kernel=7)
    padding = (ids < 0)[:, :, None, None]
    changed = [x.masked_fill(padding, 1e4) for x in (*inputs, grad)]
    before = evaluate(inputs, weight, grad, 6, segment_ids=ids, backend=backend)
    after = evaluate(changed[:3], weight, changed[3], 6, segment_ids=ids, backend=backend)
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a, b)
    assert all(not x[ids < 0].any() for x in after[:4])


def test_the_convolution_counts_a_masked_position_as_a_place():
    q = torch.zeros(1, 5, 1, 1)
    v = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).view(1, 5, 1, 1)
    ids = segments("00.00")
    only_left_neighbour = torch.tensor([[1.0, 0.0, 0.0]])
    attention = nystrom_attention(q, q, v, 8, segment_ids=ids)
    context = nystrom_attention(q, q, v, 8, segment_ids=ids, conv_weight=only_left_neighbour)
    torch.testing.assert_close((context - attention).flatten(), torch.tensor([0.0, 1.0, 0.0, 0.0, 8.0]))


def test_a_large_number_of_documents_in_one_row():
    ids = torch.arange(3000).div(3, rounding_mode="floor")[None]
    inputs, weight, grad = make_inputs(1, 3000, 1, 2, kernel=3)
    packed = evaluate(inputs, weight, grad, 2, segment_ids=ids)
    rows = evaluate([x.view(1000, 3, 1, 2) for x in inputs], weight, grad.view(1000, 3, 1, 2), 2)
    assert_equal(packed, [*(x.reshape(1, 3000, 1, 2) for x in rows[:4]), rows[4]], tolerance=1e-10)
