"""The classifier: padding, pooling, pre-norm blocks, and that softmax attention is what it says."""

from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from longspan.lra.model import Classifier
from longspan.lra.protocols import MODELS, make_settings
from tests._support import error

SMALL = {"width": 16, "heads": 2, "hidden": 24, "max_length": 40, "padded_length": 48, "landmarks": 8, "convolution": 5}


def make(model, protocol="nystromformer", documents=1, **changes):
    settings = make_settings("text", protocol, {**SMALL, "layers": 2, "window": 6, **changes})
    torch.manual_seed(0)
    return Classifier(model, settings, vocabulary=30, classes=3, documents=documents).eval()


def draw(*lengths):
    """Ids of documents of these lengths, 0 behind them."""
    torch.manual_seed(1)
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(1, 30, (length,))
    return ids


@pytest.mark.parametrize("protocol", ["nystromformer", "original"])
@pytest.mark.parametrize("model", MODELS)
def test_a_row_depends_on_nothing_but_itself(model, protocol):
    net = make(model, protocol)
    ids = draw(40, 7, 19, 1)
    with torch.no_grad():
        together = net(ids)
        alone = torch.cat([net(row[row != 0][None]) for row in ids])
        padded = net(F.pad(ids, (0, 6)))
    assert together.shape == (4, 3)
    assert error(together, alone) < 1e-5 and error(padded, together) < 1e-5


@pytest.mark.parametrize("model", MODELS)
def test_black_pixels_inside_a_picture_are_masked_and_keep_their_place(model):
    net = make(model)
    ids = draw(30, 30)
    ids[:, [3, 9, 10]] = 0
    moved = torch.cat([ids[:, :3], ids[:, 4:]], 1)
    with torch.no_grad():
        assert error(net(ids), torch.cat([net(row[None]) for row in ids])) < 1e-5
        assert error(net(ids)[:, :], net(F.pad(moved, (0, 1)))) > 1e-4


def test_a_mean_is_over_the_padded_length():
    net = make("softmax")
    seen = []
    net.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    states = []
    net.norm.register_forward_hook(lambda module, inputs, output: states.append(output))
    with torch.no_grad():
        net(draw(10, 4))
    assert error(seen[0][1], states[0][1, :4].sum(0) / 48) < 1e-6


def test_the_first_token_is_put_in_front():
    net = make("softmax", "original")
    embedded = []
    net.encoder.embeddings.word_embeddings.register_forward_pre_hook(lambda m, inputs: embedded.append(inputs[0]))
    with torch.no_grad():
        net(draw(10, 4))
    assert embedded[0].shape == (2, 11) and (embedded[0][:, 0] == 30).all()


def test_softmax_is_a_plain_pre_norm_transformer():
    """Against the formula, written out with the same weights."""
    net = make("softmax", layers=1)
    ids = draw(12)
    layer = net.encoder.encoder.layer[0]
    embeddings = net.encoder.embeddings
    with torch.no_grad():
        x = embeddings.word_embeddings(ids) + embeddings.token_type_embeddings.weight[0]
        x = x + embeddings.position_embeddings.weight[2:14]
        block = layer.attention
        h = block.output.LayerNorm(x)
        q, k, v = (
            p(h).unflatten(-1, (2, 8)).transpose(1, 2) for p in (block.self.query, block.self.key, block.self.value)
        )
        context = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v
        x = x + block.output.dense(context.transpose(1, 2).flatten(2))
        x = x + layer.output.dense(F.gelu(layer.intermediate[0].dense(layer.output.LayerNorm(x))))
        expected = net.head(net.norm(x).sum(1) / 48)
        assert error(net(ids), expected) < 1e-5


def test_a_window_over_the_whole_length_without_globals_is_full_attention():
    wide, narrow = (make("longformer", window=w, global_tokens=0) for w in (80, 4))
    softmax = make("softmax")
    names = set(wide.state_dict())
    weights = {name: x for name, x in softmax.state_dict().items() if "position_embeddings" not in name}
    for net in (wide, narrow):
        net.load_state_dict(weights, strict=False)
        places = softmax.encoder.embeddings.position_embeddings.weight
        net.encoder.embeddings.position_embeddings.weight.data[1:] = places[2:].data
    assert set(weights) <= names
    ids = draw(40, 23)
    with torch.no_grad():
        assert error(wide(ids), softmax(ids)) < 1e-5
        assert error(narrow(ids), softmax(ids)) > 1e-3


def test_global_tokens_are_the_first_ones():
    ids = draw(40)
    with torch.no_grad():
        found = [make("longformer", global_tokens=n, window=2)(ids) for n in (0, 1, 2)]
    assert error(found[0], found[1]) > 1e-4 and error(found[1], found[2]) > 1e-4


def test_global_tokens_are_those_that_are_seen():
    """A picture that begins with black pixels, which are masked, has a global token all the same."""
    ids = draw(40)
    ids[:, :7] = 0
    with torch.no_grad():
        found = [make("longformer", global_tokens=n, window=2)(ids) for n in (0, 1, 2)]
    assert error(found[0], found[1]) > 1e-4 and error(found[1], found[2]) > 1e-4


def test_two_documents_are_one_row():
    net = make("nystromformer", documents=2)
    ids = draw(20, 9, 33, 12)
    with torch.no_grad():
        scores = net(ids)
        swapped = net(ids[[1, 0, 3, 2]])
    assert scores.shape == (2, 3)
    assert error(scores, swapped) > 1e-4  # who cites whom


@pytest.mark.parametrize("model", MODELS)
def test_every_weight_that_takes_part_learns(model):
    net = make(model).train()
    net(draw(40, 30)).logsumexp(-1).sum().backward()
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    # a bias that is the same for every key cancels in the softmax
    assert all("key" in name and name.endswith("bias") for name in still), still


@pytest.mark.parametrize("model", ["longformer", "nystromformer"])
def test_long_rows_are_read_in_pieces_all_the_same(model, monkeypatch):
    net, ids = make(model, window=6), draw(40, 33)
    with torch.no_grad():
        whole = net(ids)
        attention = import_module(f"longspan.models.{model}.attention")
        monkeypatch.setattr(attention, "PIECE", 8)
        monkeypatch.setattr(attention, "LEAST_PIECES", 0)
        streamed = []
        kind = type(net.encoder.encoder.layer[0].attention.self)
        stream = kind.stream
        monkeypatch.setattr(kind, "stream", lambda *args: streamed.append(1) or stream(*args))
        assert error(net(ids), whole) < 1e-5
    assert len(streamed) == 2


def test_no_such_model():
    with pytest.raises(ValueError, match="model must be one of longformer, nystromformer, softmax, got 'bert'"):
        make("bert")
