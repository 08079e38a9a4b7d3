"""Every backend of the window operation against the dense reference, forward and gradients, in every dtype."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from longspan.ops import GlobalProjections, sliding_window_attention

from .measure import reason

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# a backend's error may be so many times the reference's own in the same dtype, and as a fraction of the result so much
FACTOR, FLOOR = 4.0, 2.0**-20
_NAMES = ("context", "query", "key", "value", "hidden_states", "weights and biases")


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        name: for the table.
        states: query, key, value (B, N, H, D) and hidden states (B, N, H * D), float64.
        weights: weights and biases of the global projections, or none.
        grad: of the context.
        options: other arguments of the operation.
    """

    name: str
    states: list[Tensor]
    weights: list[Tensor]
    grad: Tensor
    options: dict[str, Any]


def cases(device: torch.device, quick: bool) -> list[Case]:
    """Plain, causal, and a padded row of packed documents with global tokens and projections."""
    length, heads, size, window = (150, 2, 16, 24) if quick else (900, 4, 64, 96)
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device)

    hidden = heads * size
    segment_ids = torch.zeros(2, length, dtype=torch.int64, device=device)
    segment_ids[0, length // 3 :] = 1
    segment_ids[0, -length // 5 :] = -1
    segment_ids[1, : length // 7] = -1
    global_mask = torch.zeros(2, length, dtype=torch.bool, device=device)
    global_mask[:, [0, length // 2, length // 2 + 3, length - 1]] = True
    weights = [draw(*shape) * hidden**-0.5 for _ in range(3) for shape in ((hidden, hidden), (hidden,))]
    packed = {"window_size": (window, window), "segment_ids": segment_ids, "global_mask": global_mask}
    return [
        Case(name, [draw(2, length, heads, size) for _ in range(3)] + [draw(2, length, hidden)], chosen,
             draw(2, length, heads, size), options)
        for name, chosen, options in (
            ("window", [], {"window_size": (window, window)}),
            ("causal", [], {"window_size": (window, 0)}),
            ("padding, documents, global tokens", weights, packed),
        )
    ]  # fmt: skip


def check_backend(backend: str, device: torch.device, quick: bool) -> Iterator[dict[str, Any]]:
    """A row for each dtype and case: ratios of errors, ``passed``, or why it was not run.

    A row without gradients says in ``no_gradients`` why; one that broke, in ``broke``.
    """
    for dtype in DTYPES[:2] if quick else DTYPES:
        for case in cases(device, quick):
            row = {"backend": backend, "dtype": str(dtype).removeprefix("torch."), "case": case.name}
            try:
                yield {**row, **_compare(backend, dtype, case)}
            except (NotImplementedError, TypeError) as error:  # the backend says that it cannot, and why
                yield {**row, "skipped": reason(error)}
                break
            except Exception as error:  # the run goes on, to tell what else is wrong
                yield {**row, "passed": False, "broke": reason(error)}


def _compare(backend: str, dtype: torch.dtype, case: Case) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        results = _evaluate(backend, dtype, case, True)
    except NotImplementedError as error:
        found["no_gradients"] = reason(error)
        results = _evaluate(backend, dtype, case, False)
    gradients = "no_gradients" not in found
    # what the dtype makes of the inputs is nobody's error
    plain = _evaluate("reference", dtype, case, gradients)
    exact = _evaluate("reference", dtype, case, gradients, compute=torch.float64)
    ratios = [_ratio(a, p, e) for a, p, e in zip(results, plain, exact, strict=True)]
    found["errors_over_reference"] = dict(zip(_NAMES, ratios, strict=False))
    found["passed"] = all(ratio <= FACTOR for ratio in ratios)
    return found


def _evaluate(
    backend: str, dtype: torch.dtype, case: Case, gradients: bool, compute: torch.dtype | None = None
) -> list[Tensor]:
    """Context and, if asked for, gradients, with inputs rounded to ``dtype`` and computed in ``compute``."""
    leaves = [x.to(dtype).to(compute or dtype).requires_grad_(gradients) for x in (*case.states, *case.weights)]
    projections = GlobalProjections(*leaves[3:]) if case.weights else None
    with torch.set_grad_enabled(gradients):
        context = sliding_window_attention(*leaves[:3], **case.options, global_projections=projections, backend=backend)
    if not gradients:
        return [context]
    used = leaves if case.weights else leaves[:3]
    grads = list(torch.autograd.grad(context, used, case.grad.to(dtype).to(context.dtype)))
    joined = [torch.cat([x.flatten() for x in grads[4:]])] if case.weights else []
    return [context.detach(), *grads[:4], *joined]


def _ratio(actual: Tensor, plain: Tensor, exact: Tensor) -> float:
    """Root mean square error over that of the plain evaluation; infinite where it is not finite."""
    found, own = (float((x.double() - exact).square().mean().sqrt()) for x in (actual, plain))
    size = float(exact.square().mean().sqrt())
    return found / max(own, FLOOR * size) if found == found else float("inf")
