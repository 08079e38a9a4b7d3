"""What a window of a document teaches about a question: which tokens are right, and the loss over several places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longspan.tasks.examples import QuestionExample
from longspan.tasks.logits import NO_TARGET
from longspan.tasks.question_windows import DocumentTokens

if TYPE_CHECKING:
    from torch import Tensor


def find_places(example: QuestionExample, document: DocumentTokens) -> list[tuple[int, int]] | None:
    """First and last token of each place of the answer; none where there is no answer, None where nothing is known.

    Raises:
        ValueError: an answer's text does not stand at its place, or no token is of it.
    """
    if example.answerable is False:
        return []
    places = []
    for text, start in example.answers:
        if start is None:
            continue
        if start < 0 or not example.context.startswith(text, start):
            raise ValueError(f"the answer {text!r} does not stand at {start} in its context")
        place = document.find(start, start + len(text))
        if place is None:
            raise ValueError(f"no token is of the answer {text!r}")
        places.append(place)
    return places or None


def find_targets(places: list[tuple[int, int]] | None, first: int, last: int, before: int) -> dict[str, list[int]]:
    """Where the answer's first and last tokens are in a window; 0, "no answer", where none lies whole in it."""
    if places is None:
        return {"start_positions": [NO_TARGET], "end_positions": [NO_TARGET]}
    inside = [(a + before - first, b + before - first) for a, b in places if first <= a and b < last]
    return {
        "start_positions": sorted({a for a, _ in inside}) or [0],
        "end_positions": sorted({b for _, b in inside}) or [0],
    }


def marginal_loss(logits: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
    """Negative logarithm of the probability of any of a row's positions, (B,); 0 for a row without one.

    Args:
        logits: (B, N).
        positions: (B, K), each once; negative is none.
        mask: (B, N) bool, the positions that take part.
    """
    import torch

    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Finite, so that a row without a position has no NaN in its gradient.
    lowest = torch.finfo(logits.dtype).min
    logits = logits.masked_fill(~mask, lowest)
    wanted = positions >= 0
    right = logits.gather(1, positions.clamp(min=0)).masked_fill(~wanted, lowest)
    loss = logits.logsumexp(1) - right.logsumexp(1)
    return torch.where(wanted.any(1), loss, 0)
