"""Two steps, an interruption, two more: the same weights as four at once."""

import numpy as np
import pytest
import torch

from longspan.models.longformer import LongformerForMaskedLM, LongformerForTokenClassification
from longspan.train.crops import CropSampler, Encoded
from longspan.train.export import build_config
from longspan.train.initialize import FREQUENCIES, initialize_classifier, initialize_encoder
from longspan.train.loop import Schedule, Trainer, learning_rate
from longspan.train.muon import orthogonalize
from longspan.train.objectives import PassageLabels

SHAPE = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 32,
    "attention_window": 8,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.0,
}


def make_trainer(folder, **schedule):
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 40, 200)
    labels = np.stack([ids % 7 == 0, ids % 5 == 0], axis=1)
    document = Encoded(ids, np.zeros((200, 2), int), labels, np.array([[0, 3, 5], [1, 90, 95]]))
    torch.manual_seed(0)
    masked = LongformerForMaskedLM(build_config(SHAPE, 40, 64, 2))
    model = LongformerForTokenClassification(masked.config)
    model.longformer = masked.longformer
    vectors = rng.normal(size=(40, 64 - 2 * len(FREQUENCIES))).astype(np.float32)
    initialize_encoder(model.longformer, word_vectors=vectors, offsets=((1,), (0,)))
    initialize_classifier(model.classifier, np.array([0.1, 0.2]))
    sampler = CropSampler([document], [labels], focus=2, vocabulary=40, length=32, batch=2)
    objective = PassageLabels(model, sampler, torch.ones(2), torch.full((2,), 3.0), masked.lm_head, guesses=0.1)
    return Trainer(objective, Schedule(**schedule), folder)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    whole = make_trainer(tmp_path / "whole", steps=4)
    whole.run()
    make_trainer(tmp_path / "parts", steps=4).run(until=2)
    rest = make_trainer(tmp_path / "parts", steps=4)
    rest.run()
    assert whole.step == rest.step == 4
    for (name, a), b in zip(whole.objective.state_dict().items(), rest.objective.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    for name, a in whole.averaged.items():
        assert torch.equal(a, rest.averaged[name]), name


def test_training_changes_the_weights_and_lowers_the_loss(tmp_path):
    trainer = make_trainer(tmp_path, steps=60)
    before = trainer.objective.model.classifier.weight.detach().clone()
    first = np.mean([trainer.train_step() for _ in range(5)])
    while trainer.step < 55:
        trainer.train_step()
    last = np.mean([trainer.train_step() for _ in range(5)])
    assert last < first
    assert not torch.equal(before, trainer.objective.model.classifier.weight)


def test_time_ends_a_run_as_steps_do(tmp_path):
    trainer = make_trainer(tmp_path, steps=10**6, minutes=1e-9)
    trainer.run()
    assert trainer.step == 1


def test_learning_rate_rises_and_falls():
    assert [round(learning_rate(p, 0.1), 3) for p in (0, 0.05, 0.1, 0.55, 1.0, 1.2)] == [0, 0.5, 1, 0.5, 0, 0]


@pytest.mark.parametrize("shape", [(24, 24), (24, 60), (60, 24)])
def test_orthogonalize_levels_the_singular_values(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)).float())
    assert values.min() > 0.5 and values.max() < 1.4


def test_other_decays():
    assert [round(learning_rate(p, 0.25, "rsqrt"), 3) for p in (0, 0.125, 0.25, 1.0)] == [0, 0.5, 1, 0.5]
    assert [round(learning_rate(p, 0.2, "cosine"), 3) for p in (0.1, 0.2, 0.6, 1.0)] == [0.5, 1, 0.5, 0]
    # a warm-up that outlasts the run
    assert [learning_rate(p, 2.0, "rsqrt") for p in (0.0, 1.0)] == [0, 0.5]


def test_an_optimizer_of_ones_own_and_who_is_told(tmp_path):
    told = []
    made = make_trainer(tmp_path, steps=3)
    weight = made.objective.model.classifier.weight
    before = made.objective.model.longformer.embeddings.word_embeddings.weight.detach().clone()
    first = weight.detach().clone()
    schedule = Schedule(steps=3, warmup=0.0)
    trainer = Trainer(
        made.objective, schedule, tmp_path, [torch.optim.SGD([weight], lr=0.1)], lambda *at: told.append(at)
    )
    trainer.run()
    assert [step for step, _ in told] == [1, 2, 3]
    assert not torch.equal(weight, first)
    assert torch.equal(made.objective.model.longformer.embeddings.word_embeddings.weight, before)
