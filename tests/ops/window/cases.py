"""Inputs and comparisons that the tests of sliding-window attention share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from longspan.ops import GlobalProjections, sliding_window_attention
from tests._support import assert_close

FIELDS = ("query", "key", "value")
PROJECTED = tuple(f"{part}_{kind}" for part in FIELDS for kind in ("weight", "bias"))
NAMES = ("context", "lse", *FIELDS, "hidden_states", *PROJECTED)


@dataclass(frozen=True)
class Inputs:
    """Tensors of one call: query, key, value, perhaps seven projections, and the gradient of the context."""

    attended: tuple[Tensor, Tensor, Tensor]
    projected: tuple[Tensor, ...]
    grad: Tensor
    options: dict[str, Any] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> Inputs:
        return replace(
            self,
            attended=tuple(x.to(dtype) for x in self.attended),
            projected=tuple(x.to(dtype) for x in self.projected),
            grad=self.grad.to(dtype),
        )

    def row(self, b: int, start: int = 0, stop: int | None = None) -> Inputs:
        """Row b alone, tokens [start, stop)."""

        def cut(x: Tensor) -> Tensor:
            return x[b : b + 1, start:stop]

        rows = {k: v if v is None else cut(v) for k, v in self.options.items() if k in ("segment_ids", "global_mask")}
        projected = (cut(self.projected[0]), *self.projected[1:]) if self.projected else ()
        return Inputs(tuple(cut(x) for x in self.attended), projected, cut(self.grad), {**self.options, **rows})

    def call(self, attended: Any = None, projected: Any = None, **options: Any) -> Any:
        projected = self.projected if projected is None else projected
        return sliding_window_attention(
            *(self.attended if attended is None else attended),
            **{
                "global_projections": GlobalProjections(*projected) if projected else None,
                **self.options,
                **options,
            },
        )


def make(
    batch: int,
    length: int,
    window: tuple[int, int],
    heads: int = 2,
    size: int = 4,
    hidden: int = 0,
    score: float = 1.0,
    seed: int = 0,
    **options: Any,
) -> Inputs:
    """Random float64 inputs; ``hidden`` > 0 adds global projections of that width; ``score`` scales the scores."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    query, key, value, grad = (draw(batch, length, heads, size) for _ in range(4))
    projected: tuple[Tensor, ...] = ()
    if hidden:
        projected = (draw(batch, length, hidden),)
        for part in FIELDS:
            factor = (score if part == "query" else 1.0) / hidden**0.5
            projected += (draw(heads * size, hidden) * factor, draw(heads * size) * factor)
    return Inputs((query * score, key, value), projected, grad, {"window_size": window, **options})


def evaluate(inputs: Inputs, backend: str = "sdpa", **options: Any) -> list[Tensor]:
    """Context, log-sum-exp, and the gradients of query, key, value and, where given, of the seven projections."""
    attended = [x.detach().requires_grad_() for x in inputs.attended]
    projected = [x.detach().requires_grad_() for x in inputs.projected]
    context, lse = inputs.call(attended, projected, backend=backend, return_lse=True, **options)
    grads = torch.autograd.grad(context, [*attended, *projected], inputs.grad)
    return [context, lse, *grads]


def assert_same(actual: list[Tensor], expected: list[Tensor], tolerance: float = 1e-11) -> None:
    """Each within ``tolerance`` of the largest value expected, infinities in the same places."""
    finite = [[x.masked_fill(x == -math.inf, -1e4) for x in side] for side in (actual, expected)]
    assert_close(*finite, tolerance, NAMES[: len(expected)])


def check(inputs: Inputs, tolerance: float = 1e-11) -> list[Tensor]:
    """The fused backend against the reference, in float64."""
    found = evaluate(inputs)
    assert_same(found, evaluate(inputs, "reference"), tolerance)
    return found


def ids(*rows: str) -> Tensor:
    """Segment ids written as text: a digit is an id, a dot is padding."""
    return torch.tensor([[-1 if c == "." else int(c) for c in row] for row in rows])


def marks(*rows: str) -> Tensor:
    """A global mask written as text: anything but a dot is a global token."""
    return torch.tensor([[c != "." for c in row] for row in rows])


def random_ids(batch: int, length: int, seed: int, interleaved: bool = False) -> Tensor:
    """Packed documents with padding between and around them, of another layout in each row."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(-1, 4, (batch, length), generator=generator)
    return drawn if interleaved else drawn.sort(1).values.roll(seed % max(length, 1), 1)


def random_globals(batch: int, length: int, seed: int, share: float = 0.1) -> Tensor:
    """Each token global with this probability."""
    return torch.rand(batch, length, generator=torch.Generator().manual_seed(seed)) < share


def naive(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Context and log-sum-exp, token by token, straight from the definition."""
    options = inputs.options
    query, key, value = inputs.attended
    batch, length, heads, size = query.shape
    left, right = options["window_size"]
    steps = options.get("dilation", 1)
    steps = [steps] * heads if isinstance(steps, int) else steps
    scale = options.get("scale") or size**-0.5
    segment = options.get("segment_ids")
    segment = torch.zeros(batch, length, dtype=torch.long) if segment is None else segment
    flags = options.get("global_mask")
    flags = torch.zeros(batch, length, dtype=torch.bool) if flags is None else flags.bool()
    wide = (query, key, value)
    if inputs.projected:
        states, *weights = inputs.projected
        wide = tuple((states @ w.T + b).view(query.shape) for w, b in zip(weights[::2], weights[1::2], strict=True))
    context = torch.zeros_like(query)
    lse = torch.full((batch, heads, length), -math.inf, dtype=torch.float64)
    for b in range(batch):
        for i in range(length):
            if segment[b, i] < 0:
                continue
            mates = [j for j in range(length) if segment[b, j] == segment[b, i]]
            for h in range(heads):
                s = steps[h]
                if flags[b, i]:
                    seen, (q, k, v) = mates, wide
                else:
                    window = [i + s * t for t in range(-left, right + 1)]
                    seen, (q, k, v) = [j for j in mates if j in window or flags[b, j]], (query, key, value)
                scores = [
                    scale * sum(float(x) * float(y) for x, y in zip(q[b, i, h], k[b, j, h], strict=True)) for j in seen
                ]
                top = max(scores)
                weights_ = [math.exp(x - top) for x in scores]
                total = sum(weights_)
                lse[b, h, i] = top + math.log(total)
                for w, j in zip(weights_, seen, strict=True):
                    context[b, i, h] += w / total * v[b, j, h]
    return context, lse
