"""The check of a long pass: some rows of its first and its last layer, from the formulas in float64.

A long document has no second implementation to be compared with: a dense mask does not fit, and with a global token or
landmarks every token depends on every other, so that no part of the document can be read alone. But a row of one layer
takes only O(N) to compute from what the layer read. So the pass that is measured is watched: it keeps what its last
layer read, which is there to the end anyway, and some rows of what its first layer wrote. Nothing is computed for it in
the measured time. After it, these rows are computed from the token ids (first layer) and from what was read (last).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .layer_formulas import embeddings, layer_rows, layers, model_rows

TOLERANCE = 1e-5
"""Largest difference to the formula that is allowed, over the largest value of the rows."""


class Watched:
    """A model in eval mode that reads a document, and whose last reading can be checked.

    Args:
        model: a model of this benchmark, of two layers or more.
        global_token: whether its first token is global.
        read: gives the last hidden state (1, N, d) of ids (1, N).
    """

    def __init__(self, model: Any, global_token: bool, read: Callable[[Tensor], Tensor]) -> None:
        self.model, self.global_token, self.read = model, global_token, read
        # no hooks: longspan shows a hook whole tensors, and takes another way through the model for it
        _listen(layers(model)[1], self._keep_rows)
        _listen(layers(model)[-1], self._keep)

    def release(self) -> None:
        """Listen no more."""
        for layer in (layers(self.model)[-1], layers(self.model)[1]):
            layer.__class__ = type(layer).__bases__[0]

    def __call__(self, ids: Tensor) -> Tensor:
        """Read, and remember what the check needs."""
        self.ids, self.rows = ids, sampled(ids.shape[1]).to(ids.device)
        return self.read(ids)

    def _keep_rows(self, states: Tensor) -> None:
        self.first = states[0, self.rows].clone()

    def _keep(self, states: Tensor) -> None:
        self.last = states

    @torch.no_grad()
    def compare(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The sampled rows of the first and of the last layer, as they are and as the formulas give them (2, R, d).

        ``output`` is what the last call gave. What was remembered of the call is gone after it.
        """
        ids, kept, last = self.ids[0], self.first, self.last[0]
        del self.first, self.last  # they would count as memory of the next reading
        document = partial(embeddings, self.model, ids), len(ids), self.rows, self.global_token
        first = layer_rows(self.model, 0, *document)
        final = model_rows(self.model, lambda positions: last[positions].double(), *document[1:])
        return torch.stack((kept, output[0, self.rows])).double(), torch.stack((first, final))

    def check(self, output: Tensor, tolerance: float = TOLERANCE) -> float:
        """The largest difference between them, over the largest value of its layer's rows.

        Raises:
            RuntimeError: it is above ``tolerance``.
        """
        actual, expected = self.compare(output)
        first, last = ((actual - expected).abs().amax((1, 2)) / expected.abs().amax((1, 2))).tolist()
        for name, error in (("first", first), ("last", last)):
            if not error <= tolerance:
                raise RuntimeError(
                    f"rows of the {name} layer differ from their formula by {error:.2e} of the largest value (allowed "
                    f"{tolerance:.0e}): no speed is reported"
                )
        return max(first, last)


def sampled(tokens: int) -> Tensor:
    """Positions (R,) at the ends, in the middle, and between."""
    return torch.tensor(sorted({0, 1, tokens // 3, tokens // 2 - 1, tokens // 2, tokens - tokens // 5, tokens - 1}))


def _listen(layer: Any, told: Callable[[Tensor], None]) -> None:
    """Have ``told`` see what ``layer`` is given, through a class of its own."""
    kind = type(layer)

    class Layer(kind):  # type: ignore[misc, valid-type]
        def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            told(hidden_states)
            return super().forward(hidden_states, *args, **kwargs)

    layer.__class__ = Layer
