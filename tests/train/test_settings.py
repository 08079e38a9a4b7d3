"""The optimizer and its schedule are those that the arguments promise."""

import math

import pytest
import torch

from longspan.tasks.task import Encoding
from longspan.train.arguments import Arguments
from longspan.train.settings import set_steps, training_arguments
from tests.models.hub_models import make, make_tokenizer
from tests.train.parity import Parity

pytest.importorskip("accelerate")

STEPS = 20
TOKENIZER = make_tokenizer()


def optimize(folder, **values):
    """The optimizer of a tiny model, and its learning rate at each step."""
    from longspan.train.trainer import TaskTrainer

    settings = training_arguments(Arguments(steps=STEPS, cpu=True, **values), folder, "longformer")
    set_steps(settings, STEPS, 5, False, True)
    model = make("Longformer", "ForTokenClassification", vocab_size=len(TOKENIZER))
    trainer = TaskTrainer(Parity(), Encoding(TOKENIZER, None), model, settings, [{"input_ids": [0]}])
    trainer.create_optimizer_and_scheduler(STEPS)
    rates = []
    for _ in range(STEPS):
        rates.append(trainer.lr_scheduler.get_last_lr()[0])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    return model, trainer.optimizer, rates


@pytest.mark.parametrize(("warmup", "rising"), [(0.25, 5), (4, 4), (0, 0), (1, 1)])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
def test_the_rate_rises_and_then_follows_the_schedule(tmp_path, schedule, warmup, rising):
    _, _, rates = optimize(tmp_path, lr=1e-3, schedule=schedule, warmup=warmup)
    for step, rate in enumerate(rates):
        done = (step - rising) / (STEPS - rising)
        after = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant_with_warmup": 1.0}
        assert rate == pytest.approx(1e-3 * (step / rising if step < rising else after[schedule])), step


def test_the_optimizer_is_adamw_with_its_usual_moments(tmp_path):
    model, optimizer, _ = optimize(tmp_path, weight_decay=0.1)
    assert isinstance(optimizer, torch.optim.AdamW)
    names = {parameter: name for name, parameter in model.named_parameters()}
    decays = {}
    for group in optimizer.param_groups:
        assert (group["betas"], group["eps"]) == ((0.9, 0.999), 1e-8)
        decays |= {names[parameter]: group["weight_decay"] for parameter in group["params"]}
    assert decays.keys() == set(names.values())
    for name, decay in decays.items():
        assert decay == (0.0 if name.endswith(".bias") or "LayerNorm" in name else 0.1), name


def test_gradients_are_clipped_as_said(tmp_path):
    assert training_arguments(Arguments(clip=0.5, cpu=True), tmp_path, "longformer").max_grad_norm == 0.5
    assert training_arguments(Arguments(cpu=True), tmp_path, "longformer").max_grad_norm == 1.0
