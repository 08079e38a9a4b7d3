"""The opaque operators under the transforms of ``torch.func``, which ``torch.library.register_autograd`` leaves out.

``vmap`` calls an operator once for each slice. ``grad``, ``vjp`` and ``jacrev`` go through an ``autograd.Function``,
once differentiable. Forward-mode gradients are refused: torch would take them for zero, in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._pytree import tree_map

_REFERENCE = "the backend 'reference' (attn_implementation='eager') has them"
_NO_TANGENTS = f"no forward-mode gradients (torch.func.jvp, jacfwd, hessian, dual numbers) here; {_REFERENCE}"


def is_transforming() -> bool:
    """Whether a transform of ``torch.func`` is at work, so that a tensor may be a slice of a batch or have a tangent.

    Not while a program is traced: the trace sees plain operators.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def refuse_tangents(*tensors: Tensor | None) -> None:
    """An operator without forward-mode gradients is given one.

    Raises:
        NotImplementedError: naming the backend that has them.
    """
    if torch.compiler.is_compiling() or forward_ad._current_level < 0:
        return
    if any(x is not None and forward_ad.unpack_dual(x).tangent is not None for x in tensors):
        raise NotImplementedError(_NO_TANGENTS)


@dataclass(frozen=True)
class _Layout:
    """Where lists stand among the arguments of an operator. No tuple, in which torch would look for tensors.

    Attributes:
        sizes: for each argument the length of a list, or None for what is no list.
    """

    sizes: tuple[int | None, ...]

    def unflatten(self, flat: Sequence[Any]) -> list[Any]:
        """The arguments."""
        rest = iter(flat)
        return [next(rest) if size is None else [next(rest) for _ in range(size)] for size in self.sizes]


def transformable(
    operator: Callable[..., Any],
    setup_context: Callable[[Any, tuple[Any, ...], Any], None] | None = None,
    backward: Callable[..., tuple[Any, ...]] | None = None,
) -> Callable[..., Any]:
    """``operator``, that can also be called inside ``torch.func.vmap``, ``grad``, ``vjp`` and ``jacrev``.

    Args:
        operator: takes tensors, None, numbers, and lists of tensors or of integers.
        setup_context, backward: as given to ``register_autograd``; without them a gradient is refused.
    """

    class Transformed(torch.autograd.Function):
        """The operator with its lists laid out flat, since torch looks for tensors among the arguments themselves."""

        @staticmethod
        def forward(layout: _Layout, *flat: Any) -> Any:
            result = operator(*layout.unflatten(flat))
            return tuple(result) if isinstance(result, list) else result

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.layout = inputs[0]
            if setup_context is not None:
                setup_context(ctx, tuple(ctx.layout.unflatten(inputs[1:])), output)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            if backward is None:
                raise NotImplementedError(f"no second gradients here; {_REFERENCE}")
            found: list[Any] = [None]
            for size, grad in zip(ctx.layout.sizes, backward(ctx, *grads), strict=True):
                found += grad if isinstance(grad, list) else [grad] * (1 if size is None else size)
            return tuple(found)

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            raise NotImplementedError(_NO_TANGENTS)

        @staticmethod
        def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
            results = []
            for i in range(info.batch_size):
                here = (x if d is None else x.select(d, i) for x, d in zip(args, in_dims, strict=True))
                results.append(Transformed.apply(*here))
            if isinstance(results[0], Tensor):
                return torch.stack(results), 0
            stacked = tuple(torch.stack(parts) for parts in zip(*results, strict=True))
            return stacked, tree_map(lambda _: 0, stacked)

    def call(*args: Any) -> Any:
        if not is_transforming():
            return operator(*args)
        layout = _Layout(tuple(len(x) if isinstance(x, list) else None for x in args))
        flat = [y for x in args for y in (x if isinstance(x, list) else [x])]
        refuse_tangents(*(x for x in flat if isinstance(x, Tensor)))
        return Transformed.apply(layout, *flat)

    return call
