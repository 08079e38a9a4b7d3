"""Layers that read long input in pieces, in inference, give what layers that read it at once give."""

import pytest
import torch

from longspan.models.nystromformer import attention
from longspan.ops.nystrom.stream import NystromStream
from tests._support import error, peak_mib
from tests.models.nystromformer.support import HEADS, make, make_ids, predictions


@pytest.fixture
def pieces(monkeypatch):
    """Pieces of 8 tokens; lists how many were read."""
    monkeypatch.setattr(attention, "PIECE", 8)
    read, plain = [], NystromStream.__iter__

    def counted(self):
        for rows, context in plain(self):
            read.append(rows)
            yield rows, context

    monkeypatch.setattr(NystromStream, "__iter__", counted)
    return read


def packed_ids():
    return torch.tensor([[5] * 30 + [3] * 4 + [9] * 6 + [-1] * 3 + [1] * 13, [2] * 56])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("rows", ["one", "padded", "packed"])
def test_heads(head, rows, pieces):
    if head in ("ForSequenceClassification", "ForMultipleChoice") and rows == "packed":
        rows = "padded"
    model, ids = make(head, initializer_range=0.1), make_ids(1 if rows == "one" else 2, 56)
    arguments = {}
    if rows == "padded":
        arguments["attention_mask"] = torch.ones_like(ids)
        arguments["attention_mask"][0, 40:] = arguments["attention_mask"][1, :3] = arguments["attention_mask"][
            1, 20
        ] = 0
    if rows == "packed":
        arguments["segment_ids"] = packed_ids()
    if head == "ForMultipleChoice":
        ids = ids.unsqueeze(1)
        arguments = {name: x.unsqueeze(1) for name, x in arguments.items()}
    expected = predictions(model(ids, **arguments))
    assert not pieces
    with torch.inference_mode():
        actual = predictions(model(ids, **arguments))
    assert len(pieces) >= 2 * 4
    for name, value in expected.items():
        assert error(actual[name], value) <= 2e-6, name


@pytest.mark.parametrize(
    "changes", [{"conv_kernel_size": None}, {"inv_coeff_init_option": True}, {"num_landmarks": 12}]
)
def test_configurations(changes, pieces):
    model, ids = make(initializer_range=0.1, **changes), make_ids(1, 61)
    expected = model(ids, output_hidden_states=True).hidden_states
    with torch.inference_mode():
        actual = model(ids, output_hidden_states=True).hidden_states
    assert pieces
    for a, e in zip(actual, expected, strict=True):
        assert error(a, e) <= 2e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype, pieces):
    model, ids = make(initializer_range=0.1), make_ids(1, 64)
    exact = model(ids).last_hidden_state
    model = model.to(dtype)
    plain = model(ids).last_hidden_state
    with torch.no_grad():
        actual = model(ids).last_hidden_state
    assert pieces and actual.dtype == dtype
    assert error(actual, exact) <= 2 * error(plain, exact)


def test_what_needs_the_whole_row_reads_it_at_once(pieces):
    ids = make_ids(1, 64)
    with torch.no_grad():
        make(attention_type="softmax")(ids)
        make(attn_implementation="eager")(ids)
        make()(ids, output_attentions=True)
        hooked = make(num_hidden_layers=1)
        hooked.encoder.layer[0].attention.self.query.register_forward_hook(lambda *_: None)
        hooked(ids)
        make()(ids[:, :15])
    assert not pieces


def test_the_caller_keeps_what_it_gave(pieces):
    model, embeds = make(), torch.randn(1, 64, 32)
    kept = embeds.clone()
    with torch.inference_mode():
        states = model(inputs_embeds=embeds, output_hidden_states=True).hidden_states
        again = model(inputs_embeds=embeds).last_hidden_state
    assert pieces and torch.equal(embeds, kept)
    assert len({x.data_ptr() for x in states}) == 3 and torch.equal(states[-1], again)


def test_a_long_pass_needs_little_more_than_two_hidden_states():
    setup = """
from longspan.models.nystromformer import NystromformerConfig, NystromformerModel
model = NystromformerModel(NystromformerConfig(
    vocab_size=100, hidden_size=64, num_hidden_layers=3, num_attention_heads=2, intermediate_size=128,
    max_position_embeddings=64, position_period=64, num_landmarks=32, attention_type="nystrom", conv_kernel_size=9,
)).eval()
ids = torch.randint(100, (1, 200_000))
def walk(length):
    with torch.inference_mode():
        model(ids[:, :length])
walk(5000)
"""
    (extra,) = peak_mib(setup, "walk(200_000)")
    # one hidden state has 49 MiB
    assert extra < 2.4 * 49
