import pytest
import torch

from longspan.ops.nystrom import nystrom_attention
from tests.ops.nystrom.cases import make_inputs, segments


@pytest.mark.parametrize("backend", ["sdpa", "reference"])
@pytest.mark.parametrize("rows", [("0000000000000000", "000000000000...."), ("...0000000000.00", "00..............")])
def test_the_product_of_the_factors_is_the_attention(rows, backend):
    ids = segments(*rows)
    (q, k, v), _, _ = make_inputs(2, 16, 2, 4)
    for given in (ids, ids >= 0):
        context, factors = nystrom_attention(q, k, v, 6, segment_ids=given, return_factors=True, backend=backend)
        dense = factors.to_dense()
        assert dense.shape == (2, 2, 16, 16)
        torch.testing.assert_close((dense @ v.transpose(1, 2)).transpose(1, 2), context)
        assert not dense.transpose(-1, -2)[(ids < 0)[:, None, :].expand(2, 2, 16)].any()
        torch.testing.assert_close(factors.rows([0, 5]), dense[:, :, [0, 5]])


def test_shapes_and_rows_of_probabilities():
    (q, k, v), _, _ = make_inputs(2, 16, 3, 4)
    _, factors = nystrom_attention(q, k, v, 6, return_factors=True)
    assert repr(factors) == "NystromFactors(kernel_1=(2, 3, 16, 6), inverse=(2, 3, 6, 6), kernel_3=(2, 3, 6, 16))"
    assert [tuple(x.shape) for x in factors] == [(2, 3, 16, 6), (2, 3, 6, 6), (2, 3, 6, 16)]
    for kernel in (factors.kernel_1, factors.kernel_3):
        torch.testing.assert_close(kernel.sum(-1), torch.ones(kernel.shape[:-1], dtype=kernel.dtype))


def test_a_short_document_has_its_exact_map():
    (q, k, v), _, _ = make_inputs(1, 5, 2, 4)
    _, factors = nystrom_attention(q, k, v, 8, return_factors=True)
    exact = (torch.einsum("bihd,bjhd->bhij", q, k) / 2).softmax(-1)
    torch.testing.assert_close(factors.to_dense(), exact)


def test_no_dense_map_is_made_before_it_is_asked_for():
    (q, k, v), _, _ = make_inputs(1, 3000, 1, 2, dtype=torch.float32)
    _, factors = nystrom_attention(q, k, v, 4, return_factors=True)
    assert sum(x.numel() for x in factors) == 2 * 3000 * 4 + 16
    assert factors.rows(torch.tensor([2999])).shape == (1, 1, 1, 3000)


def test_packed_rows_are_refused():
    (q, k, v), _, _ = make_inputs(1, 16)
    with pytest.raises(ValueError, match="one document a row"):
        nystrom_attention(q, k, v, 4, segment_ids=segments("0000000011111111"), return_factors=True)
