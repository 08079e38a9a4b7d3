"""Muon for the matrices of the blocks, AdamW for everything else, as one optimizer.

Muon steps along the orthogonal factor of the momentum instead of along the momentum: every direction of a weight matrix
moves equally far. Source: Jordan et al.: Muon: An optimizer for hidden layers in neural networks, 2024 (the quintic
Newton-Schulz iteration and its coefficients).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Roughly U Vᵀ of the singular value decomposition U S Vᵀ of a (rows, columns) matrix, in bfloat16.

    Singular values land between about 0.7 and 1.2, which is all that an optimizer needs.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum with Nesterov's correction, orthogonalised; decoupled weight decay.

    Every parameter must be a matrix. `lr` is the root mean square that a step has relative to AdamW's (the update is
    scaled by 0.2 sqrt(max(rows, columns)), so that AdamW's learning rates and decays carry over).
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"]
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalize(p.grad.lerp(buffer, group["momentum"])).to(p.dtype)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)


def build_optimizers(
    model: nn.Module, *, lr_matrix: float, lr_embedding: float, lr_other: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon over the encoder's matrices, AdamW over embeddings (own rate), vectors and the classifier.

    Parameters without a use in the task (the global projections, when no token is global) keep a zero gradient and stay
    as they are.
    """
    matrices, embeddings, others = [], [], []
    for name, p in model.named_parameters():
        if "_global." in name:
            continue
        if "embeddings." in name and p.ndim == 2:
            embeddings.append(p)
        elif "encoder." in name and p.ndim == 2:
            matrices.append(p)
        else:
            others.append(p)
    adamw = torch.optim.AdamW(
        [
            {"params": embeddings, "lr": lr_embedding, "weight_decay": 0.0},
            {"params": others, "lr": lr_other, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
        eps=1e-8,
    )
    return [Muon(matrices, lr=lr_matrix, weight_decay=weight_decay), adamw]
