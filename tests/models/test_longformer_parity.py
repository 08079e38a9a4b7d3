"""The numbers of transformers' Longformer on equal weights: predictions, losses, maps, gradients, tuples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import longspan
from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    HEADS,
    QUESTION,
    SEP,
    SEQUENCE,
    TOKEN,
    WITHOUT_POOLING,
    Batch,
    at_valid,
    batch,
    fields,
    labels,
    predictions,
    scaled_error,
    scatter,
)

TOLERANCE = 1e-5
# lengths of the rows, window of each layer (transformers needs at least 4, and the largest a
# multiple of the others), globals
SHORT: tuple[tuple[list[int], list[int], str], ...] = (
    ([1], [8, 4], "none"),
    ([1, 1], [4, 4], "all"),
    ([2, 1], [4, 12], "first"),
    ([3], [8, 4], "ragged"),
    ([7, 5, 1], [4, 4], "ragged"),
    ([8, 8], [8, 4], "none"),
    ([9, 4], [8, 8], "all"),
    ([17, 12, 3], [4, 16], "ragged"),
    ([33], [8, 4], "first"),
    ([50, 49, 7], [6, 12], "ragged"),
    ([64, 40], [16, 4], "ragged"),
    ([65, 1, 64], [32, 64], "first"),
    ([100, 37], [10, 20], "none"),
    ([131, 60], [64, 8], "ragged"),
    ([200, 150, 9], [16, 4], "ragged"),
)


def pair(name: str, **changes: Any) -> tuple[Any, Any]:
    """Ours and theirs with equal weights."""
    theirs = getattr(transformers, name)(transformers.LongformerConfig(**fields(name=name, **changes))).eval()
    ours = getattr(longspan, name)(longspan.LongformerConfig(**fields(name=name, **changes))).eval()
    scatter(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def assert_maps(ours: Any, theirs: Any, rows: Batch) -> None:
    """Attention maps at valid tokens; the global ones in the slots that a row uses, 0 in the others."""
    length = rows.ids.shape[1]
    for found, wanted in zip(ours.attentions, theirs.attentions, strict=True):
        found, wanted = found.transpose(1, 2), wanted.transpose(1, 2)
        assert scaled_error(found[rows.valid], wanted[rows.valid]) <= TOLERANCE
    counts = (rows.marks * rows.mask).sum(1)
    if not counts.any():
        assert ours.global_attentions is None and theirs.global_attentions is None
        return
    used = torch.arange(int(counts.max())) < counts[:, None]
    for found, wanted in zip(ours.global_attentions, theirs.global_attentions, strict=True):
        found, wanted = found.permute(0, 3, 1, 2), wanted.permute(0, 3, 1, 2)[..., :length]
        assert scaled_error(found[used], wanted[used]) <= TOLERANCE
        assert not found[~used].any()


def assert_gradients(ours: Any, theirs: Any) -> None:
    """All gradients; what transformers leaves without one has 0 here.

    Errors are scaled by the parameter's largest gradient, and at least by a tenth of the largest of all: some (of key
    biases, say, which cancel in the softmax) are 0 but for rounding, which has the size of the others'. In float64,
    where theirs are NaN, the fused backend is compared with the dense one.
    """
    wanted = {key: p.grad for key, p in theirs.named_parameters()}
    least = 0.1 * max(float(g.abs().max()) for g in wanted.values() if g is not None)
    for key, parameter in ours.named_parameters():
        if wanted[key] is None:
            assert parameter.grad is None or not parameter.grad.any(), key
            continue
        distance = scaled_error(parameter.grad, wanted[key], max(least, 1e-12))
        assert distance <= TOLERANCE, f"gradient of {key}: {distance:.2e}"


def compare(name: str, rows: Batch, backward: bool = True, pooled: bool = True, **changes: Any) -> None:
    ours, theirs = pair(name, **changes)
    given = rows.inputs(name, **labels(name, rows), output_attentions=True, output_hidden_states=True)
    found, wanted = ours(**given), theirs(**given)
    assert list(found.keys()) == list(wanted.keys())
    kept = {key for key in predictions(wanted) if pooled or key != "pooler_output"}
    assert kept
    for key in kept:
        distance = scaled_error(at_valid(found[key], rows.valid), at_valid(wanted[key], rows.valid))
        assert distance <= TOLERANCE, f"{key}: {distance:.2e}"
    for layer, (a, b) in enumerate(zip(found.hidden_states, wanted.hidden_states, strict=True)):
        assert scaled_error(a[rows.valid], b[rows.valid]) <= TOLERANCE, f"hidden states {layer}"
    assert_maps(found, wanted, rows)
    if name != BASE:
        assert abs(float((found.loss - wanted.loss).detach())) <= TOLERANCE * max(1.0, float(wanted.loss.detach()))
    if not backward:
        return
    for output in (found, wanted):
        loss = output.loss if name != BASE else weighted_sum(output, rows, kept)
        loss.backward()
    assert_gradients(ours, theirs)


def weighted_sum(output: Any, rows: Batch, keys: set[str]) -> Tensor:
    """A loss for the base model that reads all its predictions at valid tokens."""
    total = torch.zeros(())
    for key in sorted(keys):
        x = at_valid(output[key], rows.valid)
        total = total + (x * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))).sum()
    return total


@pytest.mark.parametrize("case", range(len(SHORT)))
@pytest.mark.parametrize("name", CLASSES)
def test_right_padding(name: str, case: int) -> None:
    lengths, window, marks = SHORT[case]
    compare(name, batch(lengths, marks, seed=case), attention_window=window)


@pytest.mark.parametrize("case", [2, 4, 9, 12, 14])
@pytest.mark.parametrize("name", WITHOUT_POOLING)
def test_left_padding(name: str, case: int) -> None:
    lengths, window, marks = SHORT[case]
    # transformers pools the first column, which is padding here
    compare(name, batch(lengths, marks, "left", seed=case), pooled=False, attention_window=window)


@pytest.mark.parametrize("name", [BASE, SEQUENCE, CHOICE])
def test_left_padding_pools_the_first_valid_token(name: str) -> None:
    ours, theirs = pair(name)
    rows = batch([23, 9, 1], "first", "left")
    found = predictions(ours(**rows.inputs(name)))
    key = "pooler_output" if name == BASE else "logits"
    for row, length in enumerate([23, 9, 1]):
        alone = batch([length], "first")
        alone.ids[0] = rows.ids[row, -length:]
        wanted = theirs(**alone.inputs(name))[key]
        assert scaled_error(found[key].view(3, -1)[row], wanted.flatten()) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "length"), [(TOKEN, 513), (QUESTION, 513), (BASE, 1024), (SEQUENCE, 1024), (BASE, 4096)]
)
def test_long(name: str, length: int) -> None:
    rows = batch([length, length - 111], "none")
    rows.marks[0, [0, 5, length // 2, length - 1]] = 1
    rows.marks[1, 300] = 1
    window = [512, 128] if length > 2000 else [64, 256]
    changes = {"max_position_embeddings": length + 2, "hidden_size": 8, "intermediate_size": 8}
    compare(name, rows, attention_window=window, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_every_head_at_its_longest(name: str) -> None:
    changes = {"max_position_embeddings": 4098, "hidden_size": 8, "intermediate_size": 8}
    # their float32 gradients under a softmax over 4,096 positions, and over choices, are 1e-4 off those of float64
    backward = name not in (CHOICE, QUESTION)
    compare(name, batch([4096, 1000], "first"), backward, attention_window=[512, 64], **changes)


@pytest.mark.slow
@pytest.mark.parametrize("start", [1, 51, 101, 151])
def test_every_length_to_200(start: int) -> None:
    ours, theirs = pair(BASE, attention_window=[16, 8])
    for length in range(start, start + 50):
        rows = batch([length, max(1, length // 3)], "ragged", seed=length)
        with torch.no_grad():
            found, wanted = ours(**rows.inputs(BASE)), theirs(**rows.inputs(BASE))
        assert scaled_error(found[0][rows.valid], wanted[0][rows.valid]) <= TOLERANCE, length


def with_separators(*questions: int, length: int = 40) -> Batch:
    """Rows ``<s> q </s></s> a </s>`` with questions of these lengths: exactly three separators, as their rule wants."""
    rows = batch([length - 3 * i for i in range(len(questions))])
    for row, question in enumerate(questions):
        last = int(rows.mask[row].sum()) - 1
        rows.ids[row, [question, question + 1, last]] = SEP
    return rows


@pytest.mark.parametrize("name", [SEQUENCE, QUESTION, CHOICE])
def test_default_global_masks(name: str) -> None:
    ours, theirs = pair(name)
    rows = with_separators(6, 11, 2)
    given = rows.inputs(name, **labels(name, rows), output_attentions=True)
    del given["global_attention_mask"]
    found, wanted = ours(**given), theirs(**given)
    columns = torch.arange(40)
    separator = torch.tensor([[6], [11], [2]])
    marks = {SEQUENCE: columns[None] < 1, QUESTION: columns < separator, CHOICE: columns > separator + 1}[name]
    assert_maps(found, wanted, Batch(rows.ids, rows.mask, marks.expand(3, -1).long()))
    for key, x in predictions(wanted).items():
        assert scaled_error(at_valid(found[key], rows.valid), at_valid(x, rows.valid)) <= TOLERANCE
    found.loss.backward()
    wanted.loss.backward()
    assert_gradients(ours, theirs)


@pytest.mark.parametrize("name", CLASSES)
def test_tuples(name: str) -> None:
    ours, theirs = pair(name)
    rows = batch([12, 7], "ragged", seed=2)
    for extra in ({}, {"output_hidden_states": True}, {"output_attentions": True}, labels(name, rows)):
        given = rows.inputs(name, **extra, return_dict=False)
        found, wanted = ours(**given), theirs(**given)
        assert type(found) is tuple and len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert type(a) is type(b)
            if isinstance(a, tuple):
                assert len(a) == len(b)
            elif a.dim() == 0:
                torch.testing.assert_close(a, b)
            else:
                assert scaled_error(at_valid(a, rows.valid), at_valid(b, rows.valid)) <= TOLERANCE


def test_tuple_of_a_model_without_pooling_layer_keeps_its_place() -> None:
    given = batch([9]).inputs(BASE, return_dict=False)
    ours = longspan.LongformerModel(longspan.LongformerConfig(**fields()), add_pooling_layer=False)
    theirs = transformers.LongformerModel(transformers.LongformerConfig(**fields()), add_pooling_layer=False)
    assert [x is None for x in ours(**given)] == [x is None for x in theirs(**given)] == [False, True]


@pytest.mark.parametrize("name", CLASSES)
def test_types_and_embeddings(name: str) -> None:
    """token_type_ids, position_ids, and inputs_embeds in place of ids."""
    ours, theirs = pair(name)
    rows = batch([21, 14], "ragged", seed=1)
    types = torch.randint(0, 2, rows.ids.shape, generator=torch.Generator().manual_seed(0))
    places = torch.randint(0, 260, rows.ids.shape, generator=torch.Generator().manual_seed(1))
    given = rows.inputs(name, token_type_ids=types, position_ids=places, **labels(name, rows))
    for embedded in (False, True):
        if embedded:
            ids = given.pop("input_ids")
            given["inputs_embeds"] = theirs.get_input_embeddings()(ids).detach()
            del given["position_ids"]
        found, wanted = ours(**given), theirs(**given)
        for key, x in predictions(wanted).items():
            assert scaled_error(at_valid(found[key], rows.valid), at_valid(x, rows.valid)) <= TOLERANCE


@pytest.mark.parametrize(
    ("problem", "labels_"),
    [
        (None, torch.tensor([0, 2])),
        ("multi_label_classification", torch.tensor([[1.0, 0, 1], [0, 0, 1]])),
        (None, torch.tensor([[1.0, 0, 1], [0, 0, 1]])),
        ("regression", torch.tensor([[0.5, -2, 1], [0, 3, 1]])),
        ("single_label_classification", torch.tensor([1, 1])),
    ],
)
def test_losses_of_sequence_classification(problem: str | None, labels_: Tensor) -> None:
    ours, theirs = pair(SEQUENCE, num_labels=3, problem_type=problem)
    given = batch([12, 7]).inputs(SEQUENCE, labels=labels_)
    torch.testing.assert_close(ours(**given).loss, theirs(**given).loss)


def test_loss_of_a_regression_with_one_label() -> None:
    ours, theirs = pair(SEQUENCE, num_labels=1)
    given = batch([12, 7]).inputs(SEQUENCE, labels=torch.tensor([0.5, -2]))
    torch.testing.assert_close(ours(**given).loss, theirs(**given).loss)


def test_answer_positions_outside_the_row() -> None:
    ours, theirs = pair(QUESTION)
    rows = with_separators(3, 5, length=20)
    given = rows.inputs(QUESTION, start_positions=torch.tensor([4, 99]), end_positions=torch.tensor([[20], [6]]))
    torch.testing.assert_close(ours(**given).loss, theirs(**given).loss)
