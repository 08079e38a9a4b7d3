"""Forward keeps no state; the same seed gives the same numbers, also under checkpointing and in threads."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

import longspan
from longspan.models.longformer.attention import Visibility
from tests.models.longformer_cases import (
    BASE,
    CLASSES,
    HEADS,
    MASKED_LM,
    SEQUENCE,
    TOKEN,
    at_valid,
    batch,
    build,
    config,
    labels,
    predictions,
)


def snapshot(model: nn.Module) -> dict[str, Any]:
    """Everything a module holds besides its tensors, by name and identity."""
    held = {
        f"{name}.{key}": id(value)
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if not isinstance(value, dict)
    }
    return {**held, "config": str(model.config.to_dict())}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("training", [False, True])
def test_forward_changes_nothing(name: str, training: bool) -> None:
    model = build(name, attention_window=6).train(training)
    before, weights = snapshot(model), {key: x.clone() for key, x in model.state_dict().items()}
    for lengths in ([1], [9, 5], [64]):
        rows = batch(lengths, "first")
        given = rows.inputs(name, **labels(name, rows), output_attentions=True, output_hidden_states=True)
        model(**given)
    assert snapshot(model) == before
    for key, x in model.state_dict().items():
        assert torch.equal(x, weights[key]), key


@pytest.mark.parametrize("targets", [torch.tensor([1, 0]), torch.tensor([[1.0, 0], [0, 1]])])
def test_problem_type_is_decided_by_each_call(targets: Tensor) -> None:
    """One call does not decide for the next."""
    model = build(SEQUENCE)
    rows = batch([9, 5])
    other = torch.tensor([[0.0, 1], [1, 1]]) if targets.dim() == 1 else torch.tensor([0, 1])
    expected = model(**rows.inputs(SEQUENCE, labels=targets)).loss
    model(**rows.inputs(SEQUENCE, labels=other))
    assert torch.equal(model(**rows.inputs(SEQUENCE, labels=targets)).loss, expected)
    assert model.config.problem_type is None


@pytest.mark.parametrize("name", [BASE, SEQUENCE])
def test_eight_threads_on_one_model(name: str) -> None:
    model = build(name)
    batches = [batch([1 + 23 * i, 3 + 7 * i], ("none", "first", "ragged", "all")[i % 4], seed=i) for i in range(8)]

    def run(i: int) -> tuple[Tensor, ...]:
        rows = batches[i]
        output = model(**rows.inputs(name))
        made = [at_valid(x, rows.valid) for x in predictions(output).values()]
        weight = model.get_input_embeddings().weight
        return *made, torch.autograd.grad(sum(x.square().sum() for x in made), weight)[0]

    alone = [run(i) for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(run, list(range(8)) * 3))
    for i, found in enumerate(together):
        for a, b in zip(found, alone[i % 8], strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", CLASSES)
def test_same_seed_same_weights(name: str) -> None:
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(getattr(longspan, name)(config()).state_dict())
    assert all(torch.equal(x, states[1][key]) for key, x in states[0].items())
    assert any(not torch.equal(x, states[2][key]) for key, x in states[0].items())


def test_initial_weights() -> None:
    """As of every model of transformers: normal with initializer_range, zero biases, zero padding rows."""
    model = longspan.LongformerForMaskedLM(config(hidden_size=64, intermediate_size=96, initializer_range=0.1))
    for key, x in model.named_parameters():
        if key.endswith("bias"):
            assert not x.any(), key
        elif "norm" in key.lower():
            assert torch.equal(x, torch.ones_like(x)), key
        elif "token_type" not in key:
            assert 0.08 < float(x.detach().std()) < 0.12, key
    assert not model.longformer.embeddings.word_embeddings.weight[1].any()
    assert not model.longformer.embeddings.position_embeddings.weight[1].any()


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_gradient_checkpointing(reentrant: bool, dropout: float) -> None:
    """The same loss and gradients, dropout included: the second forward draws what the first one drew."""
    model = build(MASKED_LM, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout).train()
    rows = batch([41, 20], "ragged")
    given = rows.inputs(MASKED_LM, **labels(MASKED_LM, rows))
    results = []
    for checkpointed in (False, True):
        if checkpointed:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            assert model.longformer.encoder.layer[0].gradient_checkpointing
        model.zero_grad()
        torch.manual_seed(5)
        loss = model(**given).loss
        loss.backward()
        results.append([loss, *(p.grad.clone() for p in model.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
    torch.manual_seed(6)
    assert torch.equal(model(**given).loss, results[0][0]) == (dropout == 0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_dropout_is_for_training_only(implementation: str) -> None:
    model = build(TOKEN, attn_implementation=implementation, attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0)
    given = batch([30, 17], "first").inputs(TOKEN)
    first, second = model(**given).logits, model(**given).logits
    assert torch.equal(first, second)
    model.train()
    assert not torch.equal(model(**given).logits, model(**given).logits)
    torch.manual_seed(0)
    first = model(**given).logits
    torch.manual_seed(0)
    assert torch.equal(model(**given).logits, first)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("marks", ["none", "first"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_every_parameter_gets_a_gradient(name: str, marks: str, implementation: str) -> None:
    """On every step, also without a global token: distributed training needs no flag for unused parameters."""
    model = build(name, attn_implementation=implementation)
    rows = batch([19, 11], marks)
    output = model(**rows.inputs(name, **labels(name, rows)))
    total = output.loss if name != BASE else output.last_hidden_state.sum() + output.pooler_output.sum()
    total.backward()
    missing = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing
    used = [key for key, p in model.named_parameters() if "query_global" in key and p.grad.any()]
    assert bool(used) == (marks == "first")


def test_every_parameter_of_an_untied_head_gets_a_gradient() -> None:
    model = build(MASKED_LM, tie_word_embeddings=False)
    rows = batch([9])
    model(**rows.inputs(MASKED_LM, **labels(MASKED_LM, rows))).loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", HEADS)
def test_heads_pool_only_where_they_read_it(name: str) -> None:
    assert (build(name).longformer.pooler is None) == (name != "LongformerForMultipleChoice")


def test_what_all_layers_share_follows_them_to_their_devices() -> None:
    """accelerate moves the tensors of a tuple, not those of any other object."""
    shared = Visibility(torch.zeros(1, 2), torch.zeros(1, 2))
    moved = send_to_device(shared, torch.device("meta"))
    assert isinstance(moved, Visibility) and all(x.device.type == "meta" for x in moved)


def test_no_tensor_outlives_the_call() -> None:
    model = build(TOKEN)

    def count() -> int:
        gc.collect()
        return sum(type(x) is Tensor for x in gc.get_objects())

    with torch.no_grad():
        model(**batch([5]).inputs(TOKEN))
        before = count()
        for length in range(1, 80, 3):
            model(**batch([length], "first").inputs(TOKEN))
        assert count() <= before
