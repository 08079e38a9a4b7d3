"""The losses of the task heads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from longspan.models.losses import (
    binary_cross_entropy,
    classification_loss,
    cross_entropy,
    mean_squared_error,
    span_loss,
    token_classification_loss,
)
from tests.models.longformer_cases import (
    CHOICE,
    HEADS,
    MASKED_LM,
    QUESTION,
    SEQUENCE,
    TOKEN,
    batch,
    build,
    labels,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def config(problem: str | None = None, count: int = 3) -> Any:
    return SimpleNamespace(problem_type=problem, num_labels=count)


def test_cross_entropy() -> None:
    logits, targets = draw(2, 4, 5), torch.tensor([[0, -100, 4, 2], [1, 1, -100, -100]])
    loss = cross_entropy(logits, targets)
    torch.testing.assert_close(loss, F.cross_entropy(logits.flatten(0, 1), targets.flatten()))
    torch.testing.assert_close(cross_entropy(logits, targets.int()), loss)
    torch.testing.assert_close(cross_entropy(logits, targets, 10), loss * 5 / 10)
    torch.testing.assert_close(cross_entropy(logits, targets, torch.tensor(10)), loss * 5 / 10)


def test_binary_cross_entropy() -> None:
    logits = draw(2, 3)
    targets = torch.tensor([[1.0, 0, 0.25], [-1, 1, -100]])
    kept = targets >= 0
    expected = F.binary_cross_entropy_with_logits(logits[kept], targets[kept])
    torch.testing.assert_close(binary_cross_entropy(logits, targets), expected)
    torch.testing.assert_close(binary_cross_entropy(logits, targets, 8), expected * 4 / 8)
    whole = binary_cross_entropy(logits, torch.ones(2, 3, dtype=torch.long))
    torch.testing.assert_close(binary_cross_entropy(logits, torch.ones(2, 3, dtype=torch.bool)), whole)


def test_mean_squared_error() -> None:
    logits, targets = draw(4, 1), torch.tensor([1.0, 2, float("nan"), -1])
    kept = ~targets.isnan()
    expected = F.mse_loss(logits[kept, 0], targets[kept])
    for shape in ((4,), (4, 1)):
        loss = mean_squared_error(logits, targets.view(shape))
        torch.testing.assert_close(loss, expected)
        assert torch.autograd.grad(loss, logits)[0].isfinite().all()
    torch.testing.assert_close(mean_squared_error(logits, targets, 6), expected * 3 / 6)


@pytest.mark.parametrize(
    ("problem", "count", "targets", "expected"),
    [
        (None, 1, torch.tensor([0.5, 1]), mean_squared_error),
        (None, 1, torch.tensor([1, 2]), mean_squared_error),
        (None, 3, torch.tensor([2, 0]), cross_entropy),
        (None, 3, torch.tensor([2, 0], dtype=torch.int32), cross_entropy),
        (None, 3, torch.tensor([[1.0, 0, 0], [1, 0, 1]]), binary_cross_entropy),
        (None, 3, torch.tensor([[True, False, False], [True, True, False]]), binary_cross_entropy),
        ("multi_label_classification", 3, torch.tensor([[1, 0, 0], [1, 0, 1]]), binary_cross_entropy),
        ("regression", 3, torch.tensor([[1, 0, 0], [1, 0, 1]]), mean_squared_error),
        ("single_label_classification", 3, torch.tensor([[2], [0]]), cross_entropy),
    ],
)
def test_problem_types(problem: str | None, count: int, targets: Tensor, expected: Any) -> None:
    given, logits = config(problem, count), draw(2, count)
    torch.testing.assert_close(classification_loss(logits, targets, given), expected(logits, targets))
    assert given.problem_type == problem


def test_token_classification() -> None:
    logits = draw(2, 4, 3)
    single = torch.tensor([[0, 1, -100, 2], [2, 2, 1, -100]])
    several = F.one_hot(single.clamp(min=0), 3).float().masked_fill((single < 0)[..., None], -100)
    torch.testing.assert_close(token_classification_loss(logits, single, config()), cross_entropy(logits, single))
    loss = token_classification_loss(logits, several, config("multi_label_classification"), 5)
    torch.testing.assert_close(loss, binary_cross_entropy(logits, several, 5))


def test_span_loss_ignores_positions_outside_the_text() -> None:
    start, end = draw(3, 6), draw(3, 6, seed=1)
    valid = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], dtype=torch.bool)
    first, last = torch.tensor([0, 1, 2]), torch.tensor([[6], [5], [-1]])
    expected = (F.cross_entropy(start[[0, 2]], first[[0, 2]]) + F.cross_entropy(end[[1]], last[1])) / 2
    torch.testing.assert_close(span_loss(start, end, first, last, valid), expected)
    everywhere = (F.cross_entropy(start, first) + F.cross_entropy(end[[1]], last[1])) / 2
    torch.testing.assert_close(span_loss(start, end, first, last, None), everywhere)
    counted = (2 * F.cross_entropy(start[[0, 2]], first[[0, 2]]) + F.cross_entropy(end[[1]], last[1])) / 2 / 4
    torch.testing.assert_close(span_loss(start, end, first, last, valid, 4), counted)


NOTHING: dict[str, dict[str, Any]] = {
    MASKED_LM: {"labels": torch.full((2, 9), -100)},
    TOKEN: {"labels": torch.full((2, 9), -100)},
    SEQUENCE: {"labels": torch.full((2,), -100)},
    CHOICE: {"labels": torch.tensor([-100])},
    QUESTION: {"start_positions": torch.tensor([9, 8]), "end_positions": torch.tensor([-1, 100])},
}


def assert_no_loss(model: Any, given: dict[str, Any]) -> None:
    loss = model(**given).loss
    assert loss.item() == 0 and loss.requires_grad
    loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), key


@pytest.mark.parametrize("name", HEADS)
def test_no_target_gives_0_with_a_graph(name: str) -> None:
    assert_no_loss(build(name), batch([9, 5], "first").inputs(name, **NOTHING[name]))


@pytest.mark.parametrize(("name", "shape"), [(SEQUENCE, (2, 5)), (TOKEN, (2, 9, 5))])
def test_no_target_of_several_labels(name: str, shape: tuple[int, ...]) -> None:
    model = build(name, num_labels=5, problem_type="multi_label_classification")
    assert_no_loss(model, batch([9, 5]).inputs(name, labels=torch.full(shape, -100.0)))


def test_no_target_of_a_regression() -> None:
    model = build(SEQUENCE, num_labels=1)
    assert_no_loss(model, batch([9, 5]).inputs(SEQUENCE, labels=torch.full((2,), float("nan"))))


@pytest.mark.parametrize("name", HEADS)
def test_num_items_in_batch(name: str) -> None:
    """The losses of the halves of a batch, each divided by all its targets, sum up to the loss of the whole."""
    model, rows = build(name), batch([9, 9, 7, 3])
    if name == CHOICE:
        whole = {"input_ids": rows.ids[:, None].repeat(1, 3, 1), "labels": torch.tensor([0, 2, 1, 1])}
        whole["input_ids"][:, 1:] += torch.arange(2)[:, None] + 1
        whole["input_ids"].clamp_(max=59)
    else:
        whole = rows.inputs(name, **labels(name, rows))
    targets = whole["labels"].ne(-100).sum() if "labels" in whole else 4
    expected = model(**whole).loss
    halves = [{key: x[half] for key, x in whole.items()} for half in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(model(**half, num_items_in_batch=targets).loss for half in halves), expected)
    torch.testing.assert_close(model(**whole, num_items_in_batch=int(targets) * 2).loss, expected / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_targets_in_half_precision(dtype: torch.dtype) -> None:
    """The sum over the targets is beyond the range of float16 (65,504), their mean is not."""
    logits = torch.zeros(3, 4096, 8, dtype=dtype)
    logits[..., 0] = 20
    classes = torch.ones(3, 4096, dtype=torch.long)
    assert cross_entropy(logits, classes).item() == pytest.approx(20, rel=1e-2)
    assert binary_cross_entropy(logits, torch.zeros_like(logits)).item() == pytest.approx(
        (20 + 7 * 0.6931) / 8, rel=1e-2
    )
    assert mean_squared_error(logits, torch.zeros_like(logits)).item() == pytest.approx(400 / 8, rel=1e-2)
    assert cross_entropy(logits.double(), classes).dtype == torch.float64


@pytest.mark.parametrize(
    ("loss", "logits", "targets", "error", "message"),
    [
        (cross_entropy, (2, 4, 3), torch.zeros(2, 3, dtype=torch.long), ValueError, "labels must hold 8 targets"),
        (cross_entropy, (2, 3), torch.tensor([1, 3]), ValueError, "labels must be classes from 0 to 2.* got 3"),
        (cross_entropy, (2, 3), torch.tensor([1, -1]), ValueError, "got -1"),
        (cross_entropy, (2, 3), torch.tensor([1.0, 0]), TypeError, "labels must be class ids.*float32"),
        (binary_cross_entropy, (2, 3), torch.zeros(2), ValueError, r"labels of a multi-label.*\(2, 3\).*\(2,\)"),
        (mean_squared_error, (2, 3), torch.zeros(2), ValueError, r"labels of a regression.*\(2, 3\).*\(2,\)"),
    ],
)
def test_wrong_labels(loss: Any, logits: Any, targets: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        loss(draw(*logits), targets)


def test_wrong_problem_type() -> None:
    with pytest.raises(ValueError, match=r"problem_type must be one of regression, .*'ranking'"):
        classification_loss(draw(2, 3), torch.tensor([0, 1]), config("ranking"))
