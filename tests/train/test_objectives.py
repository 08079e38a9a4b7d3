"""The losses of the contract model against those of its heads."""

import numpy as np
import pytest
import torch

from longspan.models.longformer import LongformerForMaskedLM, LongformerForTokenClassification
from longspan.tasks.logits import NO_TARGET
from longspan.train.crops import CropSampler, Encoded
from longspan.train.export import build_config
from longspan.train.objectives import HiddenTokens, PassageLabels

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "attention_window": 8,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture
def sampler():
    rng = np.random.default_rng(0)
    documents = []
    for n in (200, 20):
        ids = rng.integers(5, 40, n)
        documents.append(Encoded(ids, np.zeros((n, 2), int), ids[:, None] % 5 == 0, np.array([[0, 3, 5]])))
    labels = [d.labels for d in documents]
    return CropSampler(documents, labels, focus=1, vocabulary=40, length=32, batch=4, masked=0.3)


@pytest.fixture
def masked():
    torch.manual_seed(0)
    # One position: where a crop begins in the period makes no difference.
    return LongformerForMaskedLM(build_config(SHAPE, 40, 1, 1)).eval()


def test_guesses_are_scored_where_tokens_are_hidden(masked, sampler):
    batch = sampler.draw(3)
    assert not batch.valid.all()
    labels = torch.from_numpy(batch.hidden)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = masked(
            input_ids=torch.from_numpy(batch.ids), attention_mask=torch.from_numpy(batch.valid).long(), labels=labels
        ).loss
    assert (labels != NO_TARGET).any()
    assert HiddenTokens(masked, sampler)(3).item() == pytest.approx(expected.item(), rel=1e-2)


def test_labels_and_guesses_add_up(masked, sampler):
    model = LongformerForTokenClassification(masked.config).eval()
    model.longformer = masked.longformer
    parts = [torch.tensor([0.5]), torch.tensor([3.0])]
    alone = PassageLabels(model, sampler, *parts)(3).item()
    both = PassageLabels(model, sampler, *parts, masked.lm_head, guesses=0.25)(3).item()
    assert both - alone == pytest.approx(0.25 * HiddenTokens(masked, sampler)(3).item(), rel=1e-3)
    batch = sampler.draw(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(
            input_ids=torch.from_numpy(batch.ids), attention_mask=torch.from_numpy(batch.valid).long()
        ).logits
    p, y = logits.float().sigmoid().detach().numpy()[batch.valid], batch.labels[batch.valid]
    expected = -0.5 * (3 * y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert alone == pytest.approx(float(expected), rel=1e-2)
