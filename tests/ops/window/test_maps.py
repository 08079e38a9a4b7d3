"""Attention maps: the probabilities of the operation, in the layout that Longformer's users know."""

import pytest
import torch

from longspan.ops.window import attention_maps, dense_map, sliding_window_attention
from tests._support import error
from tests.ops.window.cases import Inputs, ids, make, marks, random_globals, random_ids

CASES = {
    "window": ((3, 2), {}),
    "itself": ((0, 0), {"global_mask": random_globals(2, 70, 1)}),
    "all": ((5, 5), {"global_mask": random_globals(2, 70, 1), "segment_ids": random_ids(2, 70, 2)}),
    "interleaved": ((9, 0), {"global_mask": random_globals(2, 70, 1), "segment_ids": random_ids(2, 70, 2, True)}),
    "longer than the row": ((90, 90), {"global_mask": random_globals(2, 70, 1, 0.5)}),
    "one row without globals": ((2, 2), {"global_mask": random_globals(2, 70, 1) & torch.tensor([[True], [False]])}),
}


def dense(inputs: Inputs) -> torch.Tensor:
    """Probabilities (B, H, N, N) of the reference, through one-hot values."""
    length = inputs.grad.shape[1]
    eye = torch.eye(length, dtype=torch.float64)[None, :, None].expand_as(inputs.attended[2])
    return inputs.call((*inputs.attended[:2], eye), backend="reference", scale=0.4).transpose(1, 2)


def unfold_maps(maps: torch.Tensor, global_maps: torch.Tensor | None, inputs: Inputs) -> torch.Tensor:
    """The maps as (B, H, N, N)."""
    batch, heads, length, _ = maps.shape
    left, right = inputs.options["window_size"]
    valid = inputs.options.get("segment_ids", torch.zeros(batch, length)) >= 0
    flags = inputs.options.get("global_mask", torch.zeros(batch, length, dtype=torch.bool)) & valid
    columns = maps.shape[-1] - (left + right + 1)
    found = torch.zeros(batch, heads, length, length, dtype=maps.dtype)
    for b in range(batch):
        globals_ = flags[b].nonzero().squeeze(1).tolist()
        for x, j in enumerate(globals_):
            found[b, :, :, j] += maps[b, :, :, x]
        for i in range(length):
            for t in range(left + right + 1):
                j = i - left + t
                if 0 <= j < length:
                    found[b, :, i, j] += maps[b, :, i, columns + t]
                else:
                    assert not maps[b, :, i, columns + t].any()
        for x, i in enumerate(globals_):
            assert not maps[b, :, i].any()
            found[b, :, i] = global_maps[b, :, :, x]
        assert global_maps is None or not global_maps[b, :, :, len(globals_) :].any()
    return found


@pytest.mark.parametrize("name", CASES)
def test_maps_are_the_probabilities(name):
    window, options = CASES[name]
    inputs = make(2, 70, window, size=70, **options)
    maps, global_maps = attention_maps(
        *inputs.attended[:2], window, scale=0.4, **{k: v for k, v in inputs.options.items() if k != "window_size"}
    )
    unfolded = unfold_maps(maps, global_maps, inputs)
    assert error(unfolded, dense(inputs)) < 1e-12
    segment_ids, global_mask = (inputs.options.get(k) for k in ("segment_ids", "global_mask"))
    if global_mask is not None and segment_ids is not None:
        global_mask = global_mask & (segment_ids >= 0)
    assert torch.equal(dense_map(maps, global_maps, window, global_mask), unfolded)
    assert (global_maps is None) == ("global_mask" not in options)


def test_shapes_and_projected_globals():
    inputs = make(1, 9, (2, 1), global_mask=marks("#...#...."), segment_ids=ids("0000000.."))
    query, key, value = inputs.attended
    maps, global_maps = attention_maps(
        query, key, (2, 1), global_mask=inputs.options["global_mask"], segment_ids=inputs.options["segment_ids"],
        global_query=value, global_key=query,
    )  # fmt: skip
    assert maps.shape == (1, 2, 9, 2 + 4) and global_maps.shape == (1, 2, 9, 2)
    assert error(maps.sum(-1)[0, 0], torch.tensor([0.0, 1, 1, 1, 0, 1, 1, 0, 0])) < 1e-12
    scores = torch.einsum("bjhd,bhd->bhj", query[:, :7], value[:, 4]) * 4**-0.5
    assert error(global_maps[..., :7, 1], scores.softmax(-1)) < 1e-12 and not global_maps[..., 7:, :].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_gradients(dtype):
    inputs = make(2, 40, (3, 3), score=100.0, global_mask=random_globals(2, 40, 1), segment_ids=random_ids(2, 40, 2))
    query, key = (x.to(dtype).requires_grad_() for x in inputs.attended[:2])
    options = {k: v for k, v in inputs.options.items() if k != "window_size"}
    maps, global_maps = attention_maps(query, key, (3, 3), **options)
    grads = torch.autograd.grad(maps.square().sum() + global_maps.square().sum(), (query, key))
    assert maps.dtype == dtype and all(x.isfinite().all() for x in (maps, global_maps, *grads))


def test_empty_batch():
    x = torch.zeros(0, 5, 2, 4)
    maps, global_maps = attention_maps(x, x, (2, 2), global_mask=torch.zeros(0, 5, dtype=torch.bool))
    assert maps.shape == (0, 2, 5, 5) and global_maps is None


def test_a_dense_map_of_other_sizes_is_refused():
    inputs = make(1, 9, (2, 1), global_mask=marks("#...#...."))
    maps, global_maps = attention_maps(*inputs.attended[:2], (2, 1), global_mask=inputs.options["global_mask"])
    with pytest.raises(ValueError, match="local must have 2 columns for global tokens and 6"):
        dense_map(maps, global_maps, (3, 2), inputs.options["global_mask"])
    with pytest.raises(ValueError, match="global_mask"):
        dense_map(maps, global_maps, (2, 1))


def test_fault_53_the_window_is_exact_at_every_length():
    """Elsewhere the window is one of blocks, and the padding up to a block is attended to."""
    for length in (1, 5, 31, 33, 64, 100):
        query, key = torch.randn(2, 1, length, 1, 8)
        eye = torch.eye(length)[None, :, None].expand(1, length, 1, length)
        # one-hot values give back the probabilities
        size = max(8, length)
        padded = [torch.nn.functional.pad(x, (0, size - x.shape[-1])) for x in (query, key, eye)]
        seen = sliding_window_attention(*padded, (3, 3))[0, :, 0, :length]
        near = (torch.arange(length)[:, None] - torch.arange(length)).abs() <= 3
        assert torch.equal(seen > 0, near)
        torch.testing.assert_close(seen.sum(-1), torch.ones(length))
