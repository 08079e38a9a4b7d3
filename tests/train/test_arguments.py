"""Arguments of training: what they refuse, and how they count steps."""

import pytest

from longspan.train.arguments import ARGUMENT_NAMES, Arguments


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"lr": -1.0}, "lr must not be negative"),
        ({"stride": -1}, "stride must not be negative"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"epochs": float("inf")}, "epochs must be a finite number, got inf"),
        ({"lr": float("nan")}, "lr must be a finite number, got nan"),
        ({"steps": 2, "epochs": 50}, "give either steps or epochs, got 2 and 50"),
        ({"holdout": 1.0}, "holdout must be at least 0 and below 1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"schedule": "steep"}, "schedule must be one of linear, cosine"),
        ({"fsdp": True, "lora": 4}, "fsdp and lora cannot be combined"),
        ({"learning_rate": 1e-3}, "there is no argument learning_rate; there are steps, epochs"),
    ],
)
def test_values_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        Arguments.from_dict(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 2.5}, "batch must be of type int, got 2.5"),
        ({"batch": True}, "batch must be of type int, got True"),
        ({"lr": "5e-5"}, "lr must be of type float, got '5e-5'; YAML reads 5e-5 as text: write 5.0e-5"),
        ({"bf16": 1}, "bf16 must be of type bool, got 1"),
        ({"seed": None}, "seed must be of type int, got None"),
    ],
)
def test_types_that_cannot_be(values, message):
    with pytest.raises(TypeError, match=message):
        Arguments(**values)


def test_a_whole_number_serves_as_float():
    assert Arguments(lr=1, epochs=2) == Arguments(lr=1.0, epochs=2.0)
    assert isinstance(Arguments(lr=1).lr, float)


def test_dropout_is_the_models_own_unless_it_is_given():
    assert Arguments().settings() == {}
    assert Arguments(dropout=0).settings() == {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.mark.parametrize(
    ("arguments", "rows", "processes", "steps"),
    [
        (Arguments(epochs=2.0, batch=4), 16, 1, 8),
        (Arguments(epochs=2.0, batch=4), 17, 1, 10),
        (Arguments(epochs=0.5, batch=4), 16, 1, 2),
        (Arguments(epochs=1.0, batch=2, accumulate=2), 16, 2, 2),
        (Arguments(steps=7), 16, 2, 7),
        (Arguments(batch=4), 16, 1, 12),
    ],
)
def test_steps(arguments, rows, processes, steps):
    assert arguments.total_steps(rows, processes) == steps


def test_steps_between_checkpoints():
    assert Arguments().steps_between_checkpoints(95) == 10
    assert Arguments().steps_between_checkpoints(3) == 1
    assert Arguments(save_every=7).steps_between_checkpoints(95) == 7


def test_every_argument_is_documented():
    for name in ARGUMENT_NAMES:
        assert any(
            name in line.split(":")[0].replace(",", " ").split()
            for line in Arguments.__doc__.splitlines()
            if ":" in line
        ), name
