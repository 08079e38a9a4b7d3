import pytest
import torch

from longspan.ops.nystrom.pinv import iterative_inverse, iterative_inverse_backward


def softmax_matrices(batch=2, heads=3, m=6, dtype=torch.float64, spread=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(batch, heads, m, m, generator=generator, dtype=torch.float64)).softmax(-1).to(dtype)


@pytest.mark.parametrize("exact", [False, True])
def test_converges_to_the_pseudo_inverse(exact):
    a = softmax_matrices()
    torch.testing.assert_close(iterative_inverse(a, 30, exact), torch.linalg.pinv(a), rtol=1e-7, atol=1e-7)


def test_equals_the_formula_step_by_step():
    a, eye = softmax_matrices(1, 1)[0, 0], torch.eye(6, dtype=torch.float64)
    z = a.T / a.sum(0).max()
    for _ in range(6):
        z = z @ (13 * eye - a @ z @ (15 * eye - a @ z @ (7 * eye - a @ z))) / 4
    torch.testing.assert_close(iterative_inverse(a[None, None])[0, 0], z)


def test_exact_scale_solves_landmark_kernels_in_the_default_steps():
    # as peaked as attention gets in practice: A Z A = A to 1e-3 after six steps
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 8, 16, 16, generator=generator) + 6 * torch.eye(16)
    a = scores.softmax(-1)
    residual = (a @ iterative_inverse(a, exact_scale=True) @ a - a).norm(dim=(-2, -1)) / a.norm(dim=(-2, -1))
    assert residual.max() < 1e-3


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("iterations", [0, 1, 6])
def test_backward_equals_autograd(exact, iterations):
    a = softmax_matrices().requires_grad_()
    result = iterative_inverse(a, iterations, exact)
    grad = torch.randn(result.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (expected,) = torch.autograd.grad(result, a, grad)
    actual = iterative_inverse_backward(grad, a.detach(), iterations, exact)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_backward_divides_ties_as_autograd_does():
    a = torch.full((1, 2, 4, 4), 0.25, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(a.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (expected,) = torch.autograd.grad(iterative_inverse(a), a, grad)
    torch.testing.assert_close(iterative_inverse_backward(grad, a.detach()), expected)


@pytest.mark.parametrize("exact", [False, True])
def test_a_document_does_not_see_the_others(exact):
    a = softmax_matrices(batch=3)
    alone = torch.cat([iterative_inverse(row[None], 6, exact) for row in a])
    torch.testing.assert_close(iterative_inverse(a, 6, exact), alone, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    a = softmax_matrices(dtype=dtype)
    assert iterative_inverse(a).dtype == torch.float32
    torch.testing.assert_close(iterative_inverse(a), iterative_inverse(a.float()), rtol=0, atol=0)
