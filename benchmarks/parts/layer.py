"""What the forward pass of one base-size layer is made of: six matrix products, window attention, the rest.

Their sum is the least that a layer of part ``forward`` can take on this machine with these kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from longspan.ops.linear import linear

from ..machine import has_bfloat16
from ..measure import Contender
from ..results import Run
from ..sizes import Sizes, sizes, window_pairs
from ..window_operations import Inputs, inputs, longspan_window, sampled_rows

TITLE = "What a layer is made of"
DTYPES = (torch.float32, torch.bfloat16)
BACKENDS = ("sdpa", "cpp")
# place of the product that GELU follows
_UP = 4


def fill(run: Run) -> None:
    """One group of every part in both precisions, and their sums."""
    size = sizes(run.quick)
    dtypes = DTYPES if has_bfloat16() else DTYPES[:1]
    found = {dtype: _parts(size, dtype) for dtype in dtypes}
    everything = [part for parts in found.values() for part in parts.values()]
    with torch.inference_mode():
        run.compare(
            f"N {size.tokens:,}, window {size.window}, no global token",
            everything,
            15,
            found[torch.float32]["products"],
        )
    rows = []
    for dtype in DTYPES:
        for backend in BACKENDS:
            key = f"layer.{_name(dtype)}_{backend}"
            rows.append({"what": f"ms in all in {_name(dtype)}, window attention by `{backend}`", "key": key})
            if dtype not in found:
                run.skip(key, "the processor has no avx512_bf16")
            elif reason := found[dtype][backend].skipped:
                run.skip(key, reason)
            else:
                parts = [found[dtype][name].seconds for name in ("products", backend, "rest")]
                run.measure(key, [sum(seconds) * 1e3 for seconds in zip(*parts, strict=True)])
    run.groups.append({"title": "Sums of products, window attention and the rest", "kind": "values", "rows": rows})
    run.notes.append(
        "The products are the four of hidden by hidden size and the two of the feed-forward, with bias, and with GELU "
        "in the first of those two; the rest are two residuals and LayerNorms. The share of the matrix rate is that of "
        "the float32 rate. In bfloat16 5 % of the largest value is allowed."
    )


def _products(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """The six products, one after the other, on (N, d)."""
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = linear(x, weight, bias, gelu="none" if place == _UP else None)
    return x


def _stock(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = F.linear(x, weight, bias)
        x = F.gelu(x) if place == _UP else x
    return x


def _parts(size: Sizes, dtype: torch.dtype) -> dict[str, Contender]:
    generator = torch.Generator().manual_seed(0)
    d, m = size.hidden, size.intermediate
    shapes = [(d, d)] * 4 + [(m, d), (d, m)]
    weights = [torch.randn(shape, generator=generator).mul_(shape[1] ** -0.5) for shape in shapes]
    biases = [torch.randn(shape[0], generator=generator) for shape in shapes]
    x = torch.randn(size.tokens, d, generator=generator)
    states = inputs(size, size.tokens, has_global=False)
    low = replace(states, **{f.name: getattr(states, f.name).to(dtype) for f in fields(Inputs)[:3]})
    rows = list(range(0, size.tokens, max(1, size.tokens // 24)))
    name = _name(dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    parts = {
        "products": Contender(
            f"six products, {name}",
            partial(_products, x.to(dtype), [w.to(dtype) for w in weights], [b.to(dtype) for b in biases]),
            lambda: _stock(x.double(), [w.double() for w in weights], [b.double() for b in biases]),
            "stock operators in float64",
            flops=2.0 * size.tokens * (4 * d * d + 2 * d * m),
        ),
        "rest": Contender(
            f"residuals and LayerNorms, {name}",
            partial(_rest, x.to(dtype)),
            lambda: _rest(x.double()),
            "the same in float64",
        ),
    }
    for backend in BACKENDS:
        work = partial(longspan_window, low, backend)
        parts[backend] = Contender(
            f"window attention by {backend}, {name}",
            work,
            lambda: sampled_rows(states, rows),
            f"formula in float64, {len(rows)} rows",
            outcome=lambda work=work: work()[:, rows].double(),  # type: ignore[misc]
            flops=4.0 * window_pairs(size.tokens, size.window) * d,
            optional=backend != "sdpa",
        )
    for part in parts.values():
        part.tolerance = tolerance
    return parts


def _rest(x: Tensor) -> Tensor:
    for _ in range(2):
        x = F.layer_norm(x + x, x.shape[-1:])
    return x


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
