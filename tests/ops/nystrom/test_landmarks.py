import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops.nystrom.landmarks import run_index, run_means, run_means_backward, run_sizes


@settings(deadline=None, max_examples=60, derandomize=True)
@given(length=st.integers(1, 80), num_landmarks=st.integers(1, 20), data=st.data())
def test_runs_are_consecutive_valid_tokens_and_differ_by_at_most_one(length, num_landmarks, data):
    valid = data.draw(st.lists(st.booleans(), min_size=length, max_size=length))
    run = run_index(1, length, torch.tensor([valid]), num_landmarks, torch.device("cpu"))[0]
    assert all(run[~torch.tensor(valid)] == num_landmarks)
    of_valid = run[torch.tensor(valid)]
    assert bool((of_valid.diff() >= 0).all()) and (not of_valid.numel() or int(of_valid.max()) < num_landmarks)
    sizes = run_sizes(run[None], num_landmarks)[0]
    assert int(sizes.sum()) == sum(valid) and int(sizes.max() - sizes.min()) <= 1


def test_without_a_mask_every_token_is_valid():
    every = run_index(2, 11, torch.ones(2, 11, dtype=torch.bool), 4, torch.device("cpu"))
    assert torch.equal(run_index(2, 11, None, 4, torch.device("cpu")), every)


def test_means_equal_slices_of_the_valid_tokens():
    x = torch.randn(1, 10, 2, 3, dtype=torch.float64)
    mask = torch.tensor([[0, 0, 1, 1, 0, 1, 1, 1, 1, 1]], dtype=torch.bool)  # 7 valid: runs of 3, 2 and 2
    run = run_index(1, 10, mask, 3, x.device)
    valid = x[0, mask[0]]
    expected = torch.stack([valid[:3].mean(0), valid[3:5].mean(0), valid[5:].mean(0)])
    torch.testing.assert_close(run_means(x, run, run_sizes(run, 3))[0], expected)


def test_as_many_tokens_as_landmarks_are_their_own_means():
    x = torch.randn(2, 5, 2, 3)
    run = run_index(2, 5, None, 5, x.device)
    assert torch.equal(run_means(x, run, run_sizes(run, 5)), x)


@pytest.mark.parametrize("num_landmarks", [1, 4, 12])
def test_backward_equals_autograd(num_landmarks):
    x = torch.randn(2, 9, 2, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, :4] = False
    run = run_index(2, 9, mask, num_landmarks, x.device)
    sizes = run_sizes(run, num_landmarks)
    means = run_means(x, run, sizes)
    grad = torch.randn_like(means)
    (expected,) = torch.autograd.grad(means, x, grad)
    torch.testing.assert_close(run_means_backward(grad, run, sizes), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_in_float32(dtype):
    x = torch.randn(1, 4096, 1, 2).to(dtype)
    run = run_index(1, 4096, None, 1, x.device)
    means = run_means(x, run, run_sizes(run, 1))
    assert torch.equal(means[0], x[0].float().mean(0, keepdim=True).to(dtype))
