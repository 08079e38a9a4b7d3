"""First weights: distance as a rotation, heads that look somewhere, and a start from counts for any new model."""

import numpy as np
import pytest
import torch

from longspan.models.longformer import LongformerForTokenClassification
from longspan.models.presets import preset_config
from longspan.predict.loading import model_class
from longspan.train.export import build_config
from longspan.train.initialize import circular_positions, initialize_encoder, initialize_from_rows

SHAPE = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 32,
    "attention_window": 16,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.0,
}
FAMILIES = ("longformer", "nystromformer")


def test_distance_is_a_rotation_of_the_first_positions():
    period = 256
    table = circular_positions(period)
    gram = table @ table.T
    for shift in (1, 100, 200):
        rolled = torch.roll(table, shift, dims=0)
        assert torch.allclose(gram, rolled @ rolled.T, atol=1e-3)


def test_heads_begin_by_looking_their_distance():
    torch.manual_seed(0)
    model = LongformerForTokenClassification(build_config(SHAPE, 40, 256, 2)).eval()
    vectors = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
    initialize_encoder(model.longformer, word_vectors=vectors, offsets=((3,),))
    maps = model(torch.randint(5, 40, (1, 50)), output_attentions=True).attentions[0]
    # Column x of a map is the key at distance x - 8.
    assert (maps[0, 0, 10:40].argmax(dim=-1) == 3 + 8).float().mean() > 0.9


def make(family, head="ForMaskedLM", **fields):
    torch.manual_seed(0)
    fields = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **fields}
    return model_class(family, head)(preset_config("tiny", family, vocab_size=40, max_length=300, **fields))


def companies():
    """Rows in which 5 to 9 stand together, and 20 to 24; the other ids never occur."""
    rng = np.random.default_rng(0)
    return [{"input_ids": rng.integers(low, low + 5, 40).tolist()} for low in (5, 20) for _ in range(10)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_model_begins_as_its_embeddings(family):
    model = make(family)
    initialize_from_rows(model, companies())
    ids = torch.randint(5, 40, (1, 30))
    states = model.base_model(ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(states[-1], states[0], rtol=0, atol=0.03)  # the first norm sees small embeddings
    words = model.get_input_embeddings().weight.detach()
    likeness = torch.nn.functional.cosine_similarity(words[5:10, None], words[None, [6, 22]], dim=-1)
    assert likeness[:, 0].min() > 0.5 and likeness[:, 1].max() < 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_begin_with_a_period_from_the_first_token_on(family):
    model = make(family)
    initialize_from_rows(model, companies())
    table = model.base_model.embeddings.position_embeddings.weight.detach()
    first = len(table) - 300
    torch.testing.assert_close(table[first : first + 44], table[first + 256 :])
    assert table[first:].abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_begins_near_the_frequencies(family):
    model = make(family)
    initialize_from_rows(model, companies())
    logits = model(torch.tensor([[0, 4, 2]])).logits[0, 1]
    seen = torch.tensor([i in {*range(5, 10), *range(20, 25)} for i in range(40)])
    assert logits[seen].min() > logits[~seen].max() + 2


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_sooner_than_from_noise(family):
    def train(model):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        ids = torch.tensor([row["input_ids"] for row in companies()])
        for step in range(30):
            hidden = torch.rand(ids.shape, generator=torch.Generator().manual_seed(step)) < 0.2
            loss = model(ids.masked_fill(hidden, 4), labels=ids.masked_fill(~hidden, -100)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    ours = make(family)
    initialize_from_rows(ours, companies())
    assert train(ours) < train(make(family)) - 0.1


@pytest.mark.parametrize("rows", [[{"input_ids": [5]}], [{"input_ids": [[5, 6], [7]]}], [{"input_ids": [5] * 9}]])
@pytest.mark.parametrize("family", FAMILIES)
def test_next_to_no_data_is_no_obstacle(family, rows):
    model = make(family, "ForSequenceClassification")
    initialize_from_rows(model, rows)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_model_too_narrow_for_positions_stays_as_it_is():
    model = LongformerForTokenClassification(build_config(SHAPE | {"hidden_size": 32}, 40, 256, 2))
    before = [p.clone() for p in model.parameters()]
    initialize_from_rows(model, companies())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
