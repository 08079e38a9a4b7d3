"""Base-size models on a GPU, forward and training, each checked before it is timed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
import transformers
from torch import Tensor

import longspan

from .gpu_clock import Case, Clock
from .gpu_parts import BACKENDS, all_finite, difference, ours
from .rows import Watched
from .sizes import Sizes

THEIRS = "transformers Longformer"
ROBERTA = "RoBERTa, SDPA (all pairs)"
VOCABULARY = 1024
TOLERANCE = 5e-2
"""Of the largest value: what bfloat16 leaves of twelve layers."""
GRADIENT_TOLERANCE = 0.1
"""Of the norm of the gradients of one kind of matrix in all layers; on a CPU bfloat16 leaves 0.03."""


class Models:
    """longspan's Longformer and transformers' with the same weights, and RoBERTa; without dropout.

    Args:
        size: their sizes.
        tokens: the longest document.
        device: where they run.
        dtype: what they compute in; each is compared with a model in float32, theirs with longspan's.
    """

    def __init__(self, size: Sizes, tokens: int, device: torch.device, dtype: torch.dtype) -> None:
        common: dict[str, Any] = {
            "vocab_size": VOCABULARY,
            "hidden_size": size.hidden,
            "num_attention_heads": size.heads,
            "intermediate_size": size.intermediate,
            "num_hidden_layers": size.layers,
            "max_position_embeddings": tokens + 2,
            "pad_token_id": 1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
        torch.manual_seed(0)
        theirs = transformers.LongformerModel(transformers.LongformerConfig(**common, attention_window=size.window))
        mine = longspan.LongformerModel(longspan.LongformerConfig(**common, attention_window=size.window))
        mine.load_state_dict(theirs.state_dict())
        roberta = transformers.RobertaModel(transformers.RobertaConfig(**common, attn_implementation="sdpa"))
        exact, exact_roberta = (copy.deepcopy(model).eval().to(device) for model in (mine, roberta))
        mine, theirs, roberta = (model.eval().to(device, dtype) for model in (mine, theirs, roberta))
        self.contenders: list[tuple[str, Any, str | None, Any]] = [
            *((ours(backend), mine, backend, exact) for backend in BACKENDS),
            (THEIRS, theirs, None, exact),
            (ROBERTA, roberta, None, exact_roberta),
        ]
        self.gradient_errors: dict[str, float] = {}

    def measure(self, clock: Clock, tokens: int) -> None:
        """Forward, and a step of AdamW, with one global token.

        Outputs are compared at every length, RoBERTa's in rows of its first and last layer. A float32 model's gradients
        do not fit at every length: they are compared at the first, and whose are wrong there gets no speed at any.
        """
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(4, VOCABULARY, (1, tokens), generator=generator).to(clock.device)

        @cache
        def expected(exact: Any) -> Tensor:
            with torch.no_grad():
                return _read(exact, ids)

        def check(name: str, model: Any, exact: Any, training: bool) -> dict[str, float]:
            if name == ROBERTA:
                found = {"error": _rows_error(model, ids)}
            else:
                with torch.no_grad():
                    found = {"error": difference(_read(model, ids), expected(exact), TOLERANCE)}
            return {**found, "gradient_error": self._gradient_error(name, model, exact, ids)} if training else found

        for part, training in (("model, forward", False), ("model, training step", True)):
            for name, model, backend, exact in self.contenders:
                checked = partial(check, name, model, exact, training)
                clock.measure(part, tokens, name, partial(_case, model, backend, ids, training, checked))

    def _gradient_error(self, name: str, model: Any, exact: Any, ids: Tensor) -> float:
        if name not in self.gradient_errors:
            self.gradient_errors[name] = float("inf")  # where the comparison breaks off, it stays so
            self.gradient_errors[name] = gradient_error(_gradients(model, ids), _gradients(exact, ids))
        if not self.gradient_errors[name] <= GRADIENT_TOLERANCE:
            raise RuntimeError(
                f"its gradients are off by {self.gradient_errors[name]:.1e} of their norm (allowed "
                f"{GRADIENT_TOLERANCE:g}): no speed is reported"
            )
        all_finite(list(_gradients(model, ids).values()))
        return self.gradient_errors[name]


def gradient_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference in norm of the gradients of one kind of matrix, over the norm; infinite without one."""
    errors = []
    for kind, gradient in expected.items():
        norm = gradient.double().norm()
        errors.append(float((found[kind].double() - gradient).norm() / norm) if kind in found else float("inf"))
    return max(errors) if all(error == error for error in errors) else float("nan")


def _gradients(model: Any, ids: Tensor) -> dict[str, Tensor]:
    """The gradients of each kind of matrix, of all layers in one vector.

    Biases, norms and embeddings are left out: their gradients are sums over tokens, of which bfloat16 loses a third.
    """
    _loss(model, ids).backward()
    kinds: dict[str, list[Tensor]] = {}
    for name, weight in sorted(model.encoder.named_parameters()):
        if weight.dim() == 2 and weight.grad is not None:
            kinds.setdefault(".".join(part for part in name.split(".") if not part.isdigit()), []).append(weight.grad)
    joined = {kind: torch.cat([gradient.flatten() for gradient in grads]) for kind, grads in kinds.items()}
    model.zero_grad(set_to_none=True)
    return joined


def _loss(model: Any, ids: Tensor) -> Tensor:
    # of half the channels: a layer norm fixes the sum of all
    return _read(model, ids)[..., ::2].float().mean()


def _rows_error(model: Any, ids: Tensor) -> float:
    watch = Watched(model, False, partial(_read, model))
    try:
        with torch.no_grad():
            return watch.check(watch(ids), TOLERANCE)
    finally:
        watch.release()


def _case(model: Any, backend: str | None, ids: Tensor, training: bool, check: Callable[[], dict[str, float]]) -> Case:
    if backend is not None:
        model.set_attn_implementation(backend)
    optimizer: list[torch.optim.Optimizer] = []

    def forward() -> Tensor:
        with torch.no_grad():
            return _read(model, ids)

    def step() -> None:
        if not optimizer:  # it changes nothing, so that every contender keeps the same weights
            optimizer.append(torch.optim.AdamW(model.parameters(), lr=0.0))
        _loss(model, ids).backward()
        optimizer[0].step()
        optimizer[0].zero_grad(set_to_none=True)

    return Case(step if training else forward, check)


def _read(model: Any, ids: Tensor) -> Tensor:
    arguments = {}
    if "ongformer" in type(model).__name__:
        arguments["global_attention_mask"] = torch.zeros_like(ids)
        arguments["global_attention_mask"][:, 0] = 1
    return model(ids, **arguments).last_hidden_state
