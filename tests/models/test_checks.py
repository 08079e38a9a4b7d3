"""Bad input gets an error that names the argument, what was given and what is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode

import longspan
from longspan.models.checks import can_read_values, check_range
from tests.models.longformer_cases import BASE, CHOICE, CLASSES, QUESTION, TOKEN, WITHOUT_POOLING, batch, build, config

Change = Callable[[dict[str, Any]], dict[str, Any]]


def without(given: dict[str, Any], key: str, **new: Any) -> dict[str, Any]:
    return {**{k: x for k, x in given.items() if k != key}, **new}


BAD: dict[str, tuple[Change, type[Exception], str]] = {
    "both": (lambda g: {**g, "inputs_embeds": g["input_ids"].float()}, ValueError, "input_ids and inputs_embeds.*both"),
    "neither": (lambda g: without(g, "input_ids"), ValueError, "input_ids and inputs_embeds.*neither"),
    "a rank too few": (lambda g: {**g, "input_ids": g["input_ids"][0]}, ValueError, r"input_ids must have the shape"),
    "a rank too many": (
        lambda g: {**g, "input_ids": g["input_ids"][None]},
        ValueError,
        "input_ids must have the shape",
    ),
    "no token": (lambda g: {"input_ids": g["input_ids"][..., :0]}, ValueError, r"input_ids.*tokens >= 1.*0\)"),
    "float ids": (lambda g: {**g, "input_ids": g["input_ids"].float()}, TypeError, "input_ids.*int64.*float32"),
    "bool ids": (lambda g: {**g, "input_ids": g["input_ids"].bool()}, TypeError, "input_ids.*int64.*bool"),
    "short ids": (lambda g: {**g, "input_ids": g["input_ids"].short()}, TypeError, "input_ids.*int64.*int16"),
    "a list": (
        lambda g: {**g, "input_ids": g["input_ids"].tolist()},
        TypeError,
        "input_ids must be a tensor, got list",
    ),
    "an array": (lambda g: {**g, "input_ids": g["input_ids"].numpy()}, TypeError, "input_ids.*tensor, got ndarray"),
    "id 60": (lambda g: {**g, "input_ids": g["input_ids"] + 60}, ValueError, "input_ids.*vocab_size.*0 to 59, got"),
    "id -1": (lambda g: {**g, "input_ids": -g["input_ids"]}, ValueError, "input_ids.*0 to 59, got -"),
    "mask shape": (
        lambda g: {**g, "attention_mask": g["attention_mask"][..., :-1]},
        ValueError,
        r"attention_mask must have the shape.*\(2, 11\), got \(2, 10\)",
    ),
    "mask rank": (lambda g: {**g, "attention_mask": torch.ones(2, 1, 1, 11)}, ValueError, "attention_mask must have"),
    "mask list": (lambda g: {**g, "attention_mask": [[1]]}, TypeError, "attention_mask must be a tensor, got list"),
    "mask 3": (lambda g: {**g, "attention_mask": g["attention_mask"] + 2}, ValueError, r"attention_mask.*2 \(gl.*got"),
    "mask -1": (lambda g: {**g, "attention_mask": -g["attention_mask"]}, ValueError, "attention_mask.*got -1"),
    "mask 0.5": (lambda g: {**g, "attention_mask": g["attention_mask"] / 2}, ValueError, "attention_mask.*got 0.5"),
    "mask NaN": (
        lambda g: {**g, "attention_mask": g["attention_mask"] * float("nan")},
        ValueError,
        "attention_mask.*got nan",
    ),
    "additive mask": (
        lambda g: {**g, "attention_mask": (1.0 - g["attention_mask"]) * -1e4},
        ValueError,
        "attention_mask.*got -10000",
    ),
    "global 2": (
        lambda g: {**g, "global_attention_mask": g["attention_mask"] * 2},
        ValueError,
        "global_attention_mask must hold 0 or 1, got 2",
    ),
    "global shape": (
        lambda g: {**g, "global_attention_mask": g["global_attention_mask"][..., :1]},
        ValueError,
        r"global_attention_mask must have the shape.*\(2, 11\), got \(2, 1\)",
    ),
    "global indices": (
        lambda g: {**g, "global_attention_mask": torch.tensor([1, 4, 21])},
        ValueError,
        "global_attention_mask must have the shape",
    ),
    "type 2": (
        lambda g: {**g, "token_type_ids": torch.full_like(g["input_ids"], 2)},
        ValueError,
        "token_type_ids.*type_vocab_size, 0 to 1, got 2",
    ),
    "types of floats": (
        lambda g: {**g, "token_type_ids": g["attention_mask"] * 0.0},
        TypeError,
        "token_type_ids.*float",
    ),
    "types of bools": (lambda g: {**g, "token_type_ids": g["attention_mask"] > 2}, TypeError, "token_type_ids.*bool"),
    "types shape": (
        lambda g: {**g, "token_type_ids": g["input_ids"][..., 1:]},
        ValueError,
        "token_type_ids must have the shape",
    ),
    "position 260": (
        lambda g: {**g, "position_ids": torch.full_like(g["input_ids"], 260)},
        ValueError,
        "position_ids.*0 to 259, got 260",
    ),
    "position shape": (
        lambda g: {**g, "position_ids": torch.arange(11)},
        ValueError,
        r"position_ids must have the shape.*\(2, 11\), got \(11,\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", CLASSES)
def test_bad_input(name: str, case: str) -> None:
    change, error, message = BAD[case]
    given = change(batch([11, 7], "first").inputs(name))
    with pytest.raises(error, match=message):
        build(name)(**given)


@pytest.mark.parametrize("name", WITHOUT_POOLING)
def test_bad_segments(name: str) -> None:
    model, given = build(name), batch([11, 7]).inputs(name)
    with pytest.raises(TypeError, match=r"segment_ids must be of an integer dtype, got torch.bool"):
        model(**given, segment_ids=torch.ones(2, 11, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"segment_ids.*float32"):
        model(**given, segment_ids=torch.ones(2, 11))
    with pytest.raises(ValueError, match=r"segment_ids must have the shape.*\(2, 11\), got \(1, 11\)"):
        model(**given, segment_ids=torch.ones(1, 11, dtype=torch.long))


@pytest.mark.parametrize("name", CLASSES)
def test_bad_embeddings(name: str) -> None:
    model, axis = build(name), (1,) if name == CHOICE else ()
    for shape in ((2, 5), (2, 5, 15), (1, 2, 5, 16)):
        with pytest.raises(ValueError, match="inputs_embeds must have the shape"):
            model(inputs_embeds=torch.zeros(*axis, *shape))
    with pytest.raises(TypeError, match=r"inputs_embeds.*floating.*int64"):
        model(inputs_embeds=torch.zeros(*axis, 2, 5, 16, dtype=torch.long))
    with pytest.raises(TypeError, match="inputs_embeds must be a tensor, got list"):
        model(inputs_embeds=[[0.0]])


def test_longer_than_the_positions() -> None:
    model = build(BASE, max_position_embeddings=20)
    message = "the input has 19 tokens, but the model has positions for 18 .*max_position_embeddings 20"
    with pytest.raises(ValueError, match=message):
        model(torch.full((1, 19), 9))
    with pytest.raises(ValueError, match=message):
        model(inputs_embeds=torch.zeros(2, 19, 16))
    model(torch.full((1, 18), 9))
    model(inputs_embeds=torch.zeros(2, 18, 16))
    # padding takes no position, and each packed document begins anew
    model(torch.tensor([[9] * 18 + [1] * 30]))
    packed = torch.arange(36)[None] // 18
    model(torch.full((1, 36), 9), segment_ids=packed)
    model(inputs_embeds=torch.zeros(1, 36, 16), segment_ids=packed)
    with pytest.raises(ValueError, match=message):
        model(inputs_embeds=torch.zeros(1, 37, 16), segment_ids=torch.arange(37)[None] // 19)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_window": [8]}, r"attention_window.*one per layer \(2\).*list of 1"),
        ({"attention_window": [8, 4, 2]}, r"attention_window.*one per layer \(2\).*list of 3"),
        ({"attention_window": []}, "attention_window.*list of 0"),
        ({"attention_window": -2}, "attention_window must be at least 0, got -2"),
        ({"attention_window": [4, -1]}, r"attention_window must be at least 0, got \[4, -1\]"),
        ({"attention_window": 8.0}, "attention_window.*8.0"),
        ({"hidden_size": 15}, "hidden_size.*15 and 2"),
        ({"vocab_size": 0}, "vocab_size must be positive, got 0"),
        ({"type_vocab_size": 0}, "type_vocab_size must be positive, got 0"),
        ({"num_attention_heads": 0}, "num_attention_heads must be positive, got 0"),
        ({"hidden_act": "gelou"}, "hidden_act must be one of .*gelu.*'gelou'"),
        ({"position_period": 0}, "position_period.*got 0"),
        ({"position_period": 259}, "max_position_embeddings 260 leaves 258 .*position_period 259"),
        ({"max_position_embeddings": 2}, "max_position_embeddings 2 leaves 0 positions"),
    ],
)
def test_bad_configuration(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        longspan.LongformerModel(config(**changes))


def test_bad_backend() -> None:
    for name in ("flash_attention_2", "reference", "nonsense"):
        with pytest.raises(ValueError, match=r"(?s)eager.*sdpa"):
            longspan.LongformerModel._from_config(config(), attn_implementation=name)


def test_question_answering_has_two_labels() -> None:
    with pytest.raises(ValueError, match=r"num_labels 2.*got 3"):
        build(QUESTION, num_labels=3)


def test_values_are_read_in_eager_mode_on_a_cpu_only() -> None:
    ids = torch.tensor([[9]])
    assert can_read_values(ids)
    assert not can_read_values(ids[:, :0]) and not can_read_values(ids.to("meta"))
    with FakeTensorMode() as mode:
        assert not can_read_values(mode.from_tensor(ids))
    found = []

    def read(x: torch.Tensor) -> torch.Tensor:
        found.append(can_read_values(x))
        check_range("x", x, 5, "the table")
        return x + 1

    torch.compile(read, backend="eager", fullgraph=True)(ids)
    torch.jit.trace(read, (ids,), check_trace=False)
    torch.export.export(Read(), (ids,))
    assert found and not any(found)
    with pytest.raises(ValueError, match="x must lie within the table, 0 to 4, got 9"):
        read(ids)


class Read(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_range("x", x, 5, "the table")
        return x + 1


def test_value_checks_are_off_under_compile() -> None:
    """A mask of 0 and 3 is refused in eager mode; compiled, 3 means what is not 0."""
    model, rows = build(TOKEN), batch([11, 7])
    with pytest.raises(ValueError):
        model(rows.ids, rows.mask * 3)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(rows.ids, rows.mask * 3).logits[rows.valid], model(rows.ids, rows.mask).logits[rows.valid]
    )
