"""The oracle against the formulas written once more, one document and one head at a time."""

import pytest
import torch

from longspan.ops.nystrom import nystrom_attention
from tests.ops.nystrom.cases import make_inputs, segments


def textbook(q, k, v, m, weight, scale):
    """One document (n, D) of one head; the convolution weight is (k,)."""
    n = len(q)
    if n <= m:
        context = (q @ k.T * scale).softmax(-1) @ v
    else:
        runs = [[r for r in range(n) if r * m // n == i] for i in range(m)]
        q_mean, k_mean = (torch.stack([x[run].mean(0) for run in runs]) for x in (q, k))
        a = (q_mean @ k_mean.T * scale).softmax(-1)
        z, eye = a.T / a.sum(0).max(), torch.eye(m, dtype=q.dtype)
        for _ in range(6):
            z = z @ (13 * eye - a @ z @ (15 * eye - a @ z @ (7 * eye - a @ z))) / 4
        context = (q @ k_mean.T * scale).softmax(-1) @ z @ ((q_mean @ k.T * scale).softmax(-1) @ v)
    half = len(weight) // 2
    for i in range(n):
        for t, w in enumerate(weight):
            if 0 <= i + t - half < n:
                context[i] += w * v[i + t - half]
    return context


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
@pytest.mark.parametrize("length", [1, 5, 8, 9, 16, 23])
def test_equals_the_textbook(length, backend):
    (q, k, v), weight, _ = make_inputs(2, length, 1, 4)
    actual = nystrom_attention(q, k, v, 8, conv_weight=weight, backend=backend)
    for row in range(2):
        expected = textbook(q[row, :, 0], k[row, :, 0], v[row, :, 0], 8, weight[0], 0.5)
        torch.testing.assert_close(actual[row, :, 0], expected)


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_short_documents_have_exact_softmax_attention(backend):
    (q, k, v), _, _ = make_inputs(2, 12, 2, 4)
    ids = segments("000000000000", "11111.222...")
    actual = nystrom_attention(q, k, v, 12, segment_ids=ids, backend=backend)
    same = (ids[:, :, None] == ids[:, None, :]) & (ids >= 0)[:, :, None]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    dense = torch.nn.functional.scaled_dot_product_attention(q, k, v, same[:, None]).transpose(1, 2)
    torch.testing.assert_close(actual, dense.masked_fill((ids < 0)[:, :, None, None], 0))


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_landmarks_may_be_given(backend):
    (q, k, v), weight, _ = make_inputs(2, 24, 2, 4)
    means = [x.view(2, 8, 3, 2, 4).mean(2) for x in (q, k)]
    given = nystrom_attention(
        q, k, v, 8, query_landmarks=means[0], key_landmarks=means[1], conv_weight=weight, backend=backend
    )
    torch.testing.assert_close(given, nystrom_attention(q, k, v, 8, conv_weight=weight, backend=backend))


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_scale_is_the_callers(backend):
    (q, k, v), _, _ = make_inputs(1, 24, 2, 4)
    expected = nystrom_attention(q * 0.6, k, v, 8, backend=backend)
    torch.testing.assert_close(nystrom_attention(q, k, v, 8, scale=0.3, backend=backend), expected)
