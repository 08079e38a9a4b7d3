"""The check of long passes: it knows every model's layers, and a wrong one gets no speed."""

import pytest
import torch

from benchmarks import models
from benchmarks.fresh import fresh
from benchmarks.layer_formulas import softmax_sum
from benchmarks.models import BIGBIRD, LONGFORMER, MODERNBERT, NYSTROM, ROBERTA, THEIR_LONGFORMER, THEIR_NYSTROM, build
from benchmarks.parts import length
from benchmarks.rows import Watched, sampled
from benchmarks.sizes import TINY

TOKENS = 256


def watched(name, layers=3):
    """A model whose weights are far from their start, where attention is nearly a mean and biases are zero."""
    reader = build(name, TINY, TOKENS, layers)
    generator = torch.Generator().manual_seed(1)
    for weight in reader.model.parameters():
        weight.data.add_(torch.randn(weight.shape, generator=generator), alpha=0.1)
    return Watched(reader.model, reader.global_token, reader)


@pytest.mark.parametrize("name", length.NAMES)
def test_the_formulas_are_those_of_the_model(name):
    watch = watched(name)
    assert watch.check(watch(models.document(TOKENS))) < 2e-6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (LONGFORMER, lambda m: setattr(m.config, "attention_window", TINY.window - 2)),
        (LONGFORMER, lambda m: m.encoder.layer[0].attention.self.value_global.weight.data.mul_(1.01)),
        (THEIR_LONGFORMER, lambda m: m.embeddings.position_embeddings.weight.data[-1].mul_(2)),
        (NYSTROM, lambda m: m.encoder.layer[-1].attention.self.conv.weight.data.mul_(1.01)),
        (NYSTROM, lambda m: setattr(m.config, "position_period", 100)),
        (THEIR_NYSTROM, lambda m: m.encoder.layer[-1].attention.self.query.weight.data.mul_(1.01)),
        (ROBERTA, lambda m: m.encoder.layer[0].attention.self.key.weight.data.mul_(1.01)),
        (MODERNBERT, lambda m: m.layers[-1].mlp.Wo.weight.data.mul_(1.01)),
        (BIGBIRD, lambda m: setattr(m.config, "num_random_blocks", 2)),
    ],
)
def test_a_pass_of_another_function_is_found(name, change):
    watch = watched(name)
    output = watch(models.document(TOKENS))
    change(watch.model)
    with pytest.raises(RuntimeError, match=r"layer differ from their formula.*no speed is reported"):
        watch.check(output)


@pytest.mark.parametrize("row", [0, -1])
def test_a_wrong_row_of_the_output_is_found(row):
    watch = watched(LONGFORMER)
    output = watch(models.document(TOKENS)).clone()
    output[0, row, 0] += 1e-3
    with pytest.raises(RuntimeError, match="the last layer"):
        watch.check(output)


def test_watching_changes_nothing_and_costs_two_references():
    reader = build(LONGFORMER, TINY, TOKENS, 3)
    expected = reader(models.document(TOKENS))
    watch = Watched(reader.model, reader.global_token, reader)
    assert torch.equal(watch(models.document(TOKENS)), expected)
    assert watch.first.shape == (len(sampled(TOKENS)), TINY.hidden) and watch.last.shape == expected.shape
    # the buffers of longspan's layers still serve in turn: a hook would make them private
    assert watch.last.data_ptr() != expected.data_ptr()
    watch.check(expected)
    assert not hasattr(watch, "last") and not hasattr(watch, "first")


def test_rows_lie_at_both_ends():
    assert sampled(1000).tolist() == [0, 1, 333, 499, 500, 800, 999]


def test_a_softmax_in_pieces_is_the_softmax():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(n, 2, 4, generator=generator, dtype=torch.float64) for n in (3, 50, 50))
    pieces = [(key[:20], value[:20], 1.0), (key[20:50], value[20:50], 1.0)]
    weights = (torch.einsum("rhd,nhd->hrn", query, key) / 2).softmax(-1)
    expected = torch.einsum("hrn,nhd->rhd", weights, value).flatten(1)
    torch.testing.assert_close(softmax_sum(query, pieces), expected)
    twice = softmax_sum(query, [*pieces, pieces[0]])
    torch.testing.assert_close(twice, softmax_sum(query, [(*pieces[0][:2], 2.0), pieces[1]]))
    assert not torch.allclose(twice, expected)


def test_a_wrong_pass_gets_no_time(monkeypatch):
    arguments = {"name": LONGFORMER, "tokens": 512, "warm_tokens": TOKENS, "layers": 2, "quick": True}
    done = fresh(length.CASE, arguments, here=True)
    assert done["seconds"] > 0 and 0 < done["error"] < 1e-6
    right = models.Reader.__call__
    monkeypatch.setattr(models.Reader, "__call__", lambda self, ids: right(self, ids) + 1e-3 * (ids.shape[1] == 512))
    with pytest.raises(RuntimeError, match="no speed is reported"):
        fresh(length.CASE, arguments, here=True)
