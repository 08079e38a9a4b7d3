"""The iterative Moore-Penrose inverse of softmax matrices, and its gradient.

Nyströmformer (arXiv 2102.03902), section 3.2 and equation 11, after Razavi et al. 2014: six matrix products a step, no
decomposition, third-order convergence. A row-stochastic A has ``||A||_inf = 1``, so ``Z_0 = A^T / ||A||_1`` starts
inside the region of convergence.
"""

from __future__ import annotations

import torch
from torch import Tensor


def iterative_inverse(matrix: Tensor, iterations: int = 6, exact_scale: bool = False) -> Tensor:
    """Approximate the pseudo-inverse of every matrix.

    ``Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4``, evaluated in at least float32 whatever the dtype.

    Args:
        matrix: (B, H, m, m), rows that sum to 1.
        iterations: steps.
        exact_scale: start each matrix from its own largest column sum; False takes the largest over the H heads of one
            document, which is what existing checkpoints were trained with (there over the whole batch, which made
            one document's result depend on another's).

    Returns:
        (B, H, m, m) in float32, or float64 for a float64 ``matrix``.
    """
    matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    inverse = matrix.mT / _column_scale(matrix, exact_scale)
    for _ in range(iterations):
        inverse = _step(matrix, inverse)[-1]
    return inverse


def iterative_inverse_backward(grad: Tensor, matrix: Tensor, iterations: int = 6, exact_scale: bool = False) -> Tensor:
    """Gradient of :func:`iterative_inverse` with respect to ``matrix``, given that of its result.

    The iterates are computed again. Both arguments are (B, H, m, m) in float32 or float64.
    """
    scale = _column_scale(matrix, exact_scale)
    inverses = [matrix.mT / scale]
    for _ in range(iterations - 1):
        inverses.append(_step(matrix, inverses[-1])[-1])

    grad_matrix = torch.zeros_like(matrix)
    for inverse in reversed(inverses[:iterations]):
        product, inner, middle, outer, _ = _step(matrix, inverse)
        grad_outer = inverse.mT @ grad / 4
        grad_middle = -product.mT @ grad_outer
        grad_inner = -product.mT @ grad_middle
        grad_product = -(grad_outer @ middle.mT + grad_middle @ inner.mT + grad_inner)
        grad_matrix += grad_product @ inverse.mT
        grad = grad @ outer.mT / 4 + matrix.mT @ grad_product

    grad_matrix += grad.mT / scale
    # the largest column sum gets its share; equal ones divide it, as torch.amax does
    dims = (-2, -1) if exact_scale else (-3, -2, -1)
    grad_scale = -(grad * matrix.mT).sum(dims, keepdim=True) / scale.square()
    columns = matrix.sum(-2, keepdim=True)
    largest = (columns == scale).to(matrix.dtype)
    return grad_matrix + grad_scale * largest / largest.sum(dims, keepdim=True)


def _column_scale(matrix: Tensor, exact_scale: bool) -> Tensor:
    columns = matrix.sum(-2, keepdim=True)
    return columns.amax(-1, keepdim=True) if exact_scale else columns.amax((-3, -1), keepdim=True)


def _step(matrix: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """``A Z``, the three nested brackets from the inside out, and the next ``Z``."""
    product = matrix @ inverse
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    inner = 7 * identity - product
    middle = 15 * identity - product @ inner
    outer = 13 * identity - product @ middle
    return product, inner, middle, outer, inverse @ outer / 4
