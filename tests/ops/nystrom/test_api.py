import numpy as np
import pytest
import torch

from longspan.ops.nystrom import nystrom_attention
from tests.ops.nystrom.cases import make_inputs, segments

X = torch.zeros(2, 6, 3, 4)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"query": X[0]}, ValueError, r"query must be .*\(6, 3, 4\)"),
        ({"key": X[:, :5]}, ValueError, r"key has shape \(2, 5, 3, 4\), but query has \(2, 6, 3, 4\)"),
        ({"value": X.half()}, TypeError, "value has dtype torch.float16, but query has torch.float32"),
        ({"query": X.long()}, TypeError, "query has dtype torch.int64; possible: float16"),
        ({"query": [1.0]}, TypeError, "query must be a tensor, got list"),
        ({"key": None}, TypeError, "key must be a tensor, got NoneType"),
        ({"query": X[..., :0]}, ValueError, r"query must have at least one head and a head size >= 1, .*3, 0\)"),
        ({"query": X[:, :, :0]}, ValueError, r"query must have at least one head and .*\(2, 6, 0, 4\)"),
        ({"num_landmarks": 0}, ValueError, "num_landmarks must be at least 1, got 0"),
        ({"num_landmarks": 16.0}, TypeError, "num_landmarks must be an integer, got 16.0"),
        ({"num_landmarks": "16"}, TypeError, "num_landmarks must be an integer, got '16'"),
        ({"num_landmarks": True}, TypeError, "num_landmarks must be an integer, got True"),
        ({"num_landmarks": 2**70}, ValueError, "num_landmarks must be at most 9223372036854775807, got 118"),
        ({"inverse_iterations": 2.5}, TypeError, "inverse_iterations must be an integer, got 2.5"),
        ({"scale": "a"}, TypeError, "scale must be a number or None, got 'a'"),
        ({"segment_ids": [[0] * 6] * 2}, TypeError, "segment_ids must be a tensor or None, got list"),
        ({"key_landmarks": [0.0]}, TypeError, "key_landmarks must be a tensor or None, got list"),
        ({"conv_weight": [1.0]}, TypeError, "conv_weight must be a tensor or None, got list"),
        ({"inverse_iterations": -1}, ValueError, "inverse_iterations must be at least 0, got -1"),
        ({"segment_ids": torch.zeros(2, 5, dtype=torch.long)}, ValueError, r"segment_ids has shape \(2, 5\)"),
        ({"segment_ids": torch.zeros(2, 6)}, TypeError, "segment_ids has dtype torch.float32; possible: an integer"),
        ({"query_landmarks": X}, ValueError, r"query_landmarks has shape .* \(2, 2, 3, 4\)"),
        ({"key_landmarks": X[:, :2].double()}, TypeError, "key_landmarks has dtype torch.float64"),
        ({"conv_weight": torch.zeros(3, 4)}, ValueError, r"conv_weight has shape \(3, 4\), .* \(3, an odd number\)"),
        ({"conv_weight": torch.zeros(2, 5)}, ValueError, r"conv_weight has shape \(2, 5\)"),
        ({"causal": True}, ValueError, "landmarks are means over the whole document"),
        ({"backend": "flash"}, ValueError, r"backend 'flash' does not exist .* \['reference', 'sdpa'\]"),
    ],
)
def test_errors_name_the_argument_and_what_is_possible(changes, error, message):
    arguments = {"query": X, "key": X, "value": X, "num_landmarks": 2} | changes
    with pytest.raises(error, match=message):
        nystrom_attention(**arguments)


def test_given_landmarks_do_not_go_with_packed_rows():
    (q, k, v), _, _ = make_inputs(1, 6, 3, 4)
    with pytest.raises(ValueError, match="2 documents in 1 rows"):
        nystrom_attention(q, k, v, 2, segment_ids=segments("000111"), query_landmarks=q[:, :2])


def test_int32_segments():
    (q, k, v), _, _ = make_inputs(2, 16)
    ids = segments("0000000011111...", "..00000000011111")
    expected = nystrom_attention(q, k, v, 4, segment_ids=ids)
    assert torch.equal(nystrom_attention(q, k, v, 4, segment_ids=ids.to(torch.int32)), expected)


def test_integers_of_other_kinds():
    (q, k, v), _, _ = make_inputs(1, 16)
    expected = nystrom_attention(q, k, v, 4, inverse_iterations=2)
    for kind in (np.int64, np.uint8, torch.tensor):
        assert torch.equal(nystrom_attention(q, k, v, kind(4), inverse_iterations=kind(2)), expected)
