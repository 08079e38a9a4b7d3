"""The losses of the task heads.

Every loss is a mean over its targets, or their sum over ``num_items_in_batch`` where the trainer counts targets over
processes and accumulation steps; without any target it is 0 with a graph, so that training goes on.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import can_read_values

IGNORED = -100
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def _wide(logits: Tensor) -> Tensor:
    # a sum over thousands of tokens leaves the range of float16, and the precision of bfloat16
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _mean(total: Tensor, count: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
    if num_items_in_batch is not None:
        count = torch.as_tensor(num_items_in_batch, device=total.device)
    return total / count.clamp(min=1)


def cross_entropy(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Cross entropy of logits (..., C) against class ids (...); -100 is no target. In at least float32.

    Raises:
        TypeError: the labels are not whole numbers.
        ValueError: a label is neither a class nor -100.
    """
    if labels.is_floating_point():
        raise TypeError(f"labels must be class ids of an integer dtype, got {labels.dtype}")
    labels = labels.to(logits.device).reshape(-1)
    logits = _wide(logits).reshape(-1, logits.shape[-1])
    if labels.shape[0] != logits.shape[0]:
        raise ValueError(f"labels must hold {logits.shape[0]} targets, one for each prediction, got {labels.shape[0]}")
    if can_read_values(labels):
        wrong = (labels != IGNORED) & ((labels < 0) | (labels >= logits.shape[-1]))
        if wrong.any():
            raise ValueError(
                f"labels must be classes from 0 to {logits.shape[-1] - 1}, or {IGNORED} for none, "
                f"got {int(labels[wrong][0])}"
            )
    total = F.cross_entropy(logits, labels.long(), ignore_index=IGNORED, reduction="sum")
    return _mean(total, (labels != IGNORED).sum(), num_items_in_batch)


def binary_cross_entropy(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Mean over all (element, class) pairs of the binary cross entropy; a negative label is no target."""
    labels = labels.to(logits.device)
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels of a multi-label problem must have the shape of the logits, {tuple(logits.shape)}, "
            f"got {tuple(labels.shape)}"
        )
    logits = _wide(logits)
    labels = labels.to(logits.dtype)
    targets = labels >= 0
    losses = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none")
    return _mean(losses.masked_fill(~targets, 0).sum(), targets.sum(), num_items_in_batch)


def mean_squared_error(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Mean squared error; NaN is no target."""
    logits = _wide(logits)
    labels = labels.to(logits.device, logits.dtype)
    if logits.shape[-1] == 1 and labels.dim() == logits.dim() - 1:
        labels = labels.unsqueeze(-1)
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels of a regression must have the shape of the logits, {tuple(logits.shape)}, "
            f"got {tuple(labels.shape)}"
        )
    targets = ~labels.isnan()
    errors = (logits - labels.nan_to_num()).square()
    return _mean(errors.masked_fill(~targets, 0).sum(), targets.sum(), num_items_in_batch)


def classification_loss(
    logits: Tensor, labels: Tensor, config: Any, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """The loss of ``config.problem_type``; where it is None, of what labels and ``num_labels`` look like.

    Args:
        logits: (B, num_labels).
        labels: (B,) class ids, (B, num_labels) multi-label targets, or numbers for a regression.
        config: a configuration with ``problem_type`` and ``num_labels``; it is not changed.
        num_items_in_batch: number of targets to divide by.
    """
    problem = config.problem_type
    if problem is None:
        if config.num_labels == 1:
            problem = "regression"
        else:
            several = labels.is_floating_point() or labels.dtype == torch.bool
            problem = "multi_label_classification" if several else "single_label_classification"
    if problem not in PROBLEM_TYPES:
        raise ValueError(f"problem_type must be one of {', '.join(PROBLEM_TYPES)}, got {problem!r}")
    loss = {
        "regression": mean_squared_error,
        "single_label_classification": cross_entropy,
        "multi_label_classification": binary_cross_entropy,
    }[problem]
    return loss(logits, labels, num_items_in_batch)


def token_classification_loss(
    logits: Tensor, labels: Tensor, config: Any, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Cross entropy over tokens, or binary cross entropy when ``problem_type`` is multi-label.

    Args:
        logits: (B, N, num_labels).
        labels: (B, N) class ids, or (B, N, num_labels) for multi-label.
        config, num_items_in_batch: as in :func:`classification_loss`.
    """
    multi = config.problem_type == "multi_label_classification"
    loss = binary_cross_entropy if multi else cross_entropy
    return loss(logits, labels, num_items_in_batch)


def span_loss(
    start_logits: Tensor,
    end_logits: Tensor,
    start_positions: Tensor,
    end_positions: Tensor,
    valid: Tensor | None,
    num_items_in_batch: Tensor | int | None = None,
) -> Tensor:
    """Mean of the cross entropies of an answer's first and last token.

    Args:
        start_logits, end_logits: (B, N).
        start_positions, end_positions: (B,) or (B, 1); a position outside the text is no target.
        valid: (B, N) bool, False at padding, or None.
        num_items_in_batch: number of answers to divide by.
    """
    loss = _wide(start_logits.new_zeros(()))
    for logits, positions in ((start_logits, start_positions), (end_logits, end_positions)):
        positions = positions.to(logits.device).reshape(-1).long()
        length = logits.shape[1]
        inside = (positions >= 0) & (positions < length)
        if valid is not None:
            inside = inside & valid.gather(1, positions.clamp(0, length - 1)[:, None]).squeeze(1)
        loss = loss + cross_entropy(logits, positions.masked_fill(~inside, IGNORED), num_items_in_batch) / 2
    return loss
