"""How a Keras class is called, and what it refuses: checks that :mod:`tests.keras.behaviour` runs."""

from __future__ import annotations

import inspect
import unittest
from collections import UserDict
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from longspan import keras as lk

from .checks import BACKEND, REFERENCES, check, classifier, close, load, raises, rows

TASKS = ("MaskedLM", "SequenceClassification", "TokenClassification", "MultipleChoice", "QuestionAnswering")


@check
def signatures_name_every_argument() -> None:
    shared = ["input_ids", "attention_mask", "head_mask", "global_attention_mask", "token_type_ids", "position_ids"]
    shared += ["inputs_embeds", "output_attentions", "output_hidden_states", "return_dict"]
    for family, missing in (("Longformer", ()), ("Nystromformer", ("head_mask", "global_attention_mask"))):
        for head in ("Model", *(f"For{task}" for task in TASKS)):
            labels = {"Model": [], "ForQuestionAnswering": ["start_positions", "end_positions"]}.get(head, ["labels"])
            expected = [*(x for x in shared if x not in missing), *labels, "training"]
            parameters = inspect.signature(getattr(lk, f"TF{family}{head}").call).parameters
            assert list(parameters) == ["self", *expected]
            assert {x.default for name, x in parameters.items() if name not in ("self", "training")} == {None}


@check
def first_argument_may_be_a_dict_or_a_list() -> None:
    model, x = classifier(), rows()
    close(model(x).logits, model(**x).logits, 0)
    close(model([x["input_ids"], x["attention_mask"]]).logits, model(**x).logits, 0)
    close(model(x, return_dict=False)[0], model(**x).logits, 0)
    close(model(UserDict(x)).logits, model(**x).logits, 0)  # as tokenizers return
    close(model(x["input_ids"].tolist(), x["attention_mask"]).logits, model(**x).logits, 0)
    assert len(model(x["input_ids"], x["attention_mask"], None, None, None, None, None, True).attentions) == 1
    raises("'maks' is no argument", lambda: model({"input_ids": x["input_ids"], "maks": x["attention_mask"]}))
    raises("exactly one", lambda: model({"attention_mask": x["attention_mask"]}))
    raises("'attention_mask'", lambda: model(x, attention_mask=x["attention_mask"]))


@check
def bad_input_is_refused() -> None:
    model, x = load("LongformerModel"), rows()
    raises("input_ids must lie", lambda: model(x["input_ids"] + 60))
    raises("positions for", lambda: model(np.full((1, 200), 7)))
    labelled = classifier()
    raises("labels must be classes from 0 to 2", lambda: labelled(x, labels=np.arange(4)))
    raises("labels must be class ids", lambda: load("LongformerForMaskedLM")(x, labels=np.ones((4, 40))))
    raises("head_mask must be", lambda: model(x, head_mask=np.ones((3, 2))))
    raises("colour", lambda: load("LongformerModel", colour=3))
    raises("model type", lambda: lk.TFNystromformerModel.from_pretrained(REFERENCES / "ragged" / "LongformerModel"))
    nystromformer = load("NystromformerModel")
    raises("attention_mask must lie", lambda: nystromformer(x["input_ids"], attention_mask=x["attention_mask"] * 2))
    raises("attention_mask must lie", lambda: model(x["input_ids"], attention_mask=x["attention_mask"] - 1))
    raises("config must be", lambda: lk.TFLongformerModel("longformer"))
    raises("num_hidden_layers must be 0 or more", lambda: lk.NystromformerConfig(num_hidden_layers=-1))
    raises("head_mask", lambda: nystromformer({**x, "head_mask": np.ones(2)}))
    raises("head_mask", lambda: nystromformer(**x, head_mask=np.ones(2)))
    raises("shape of the logits", lambda: labelled(x, labels=np.ones(4, "float32")))
    if BACKEND != "tensorflow":
        raises("KERAS_BACKEND=tensorflow", lambda: model.export("nowhere"))


def beyond() -> tuple[Any, Any, Any]:
    """A model of 4 slots, inputs with 3 and 9 global tokens, and what is right for the first row."""
    x = rows(2)
    x["global_attention_mask"] = x["attention_mask"] * (np.arange(40) < np.array([[3], [9]]))
    expected = load("LongformerModel")(x)[0][:1]
    return load("LongformerModel", max_global_tokens=4), x, expected


@check
def shapes_that_do_not_fit_are_refused() -> None:
    model, ids = classifier(), rows()["input_ids"]
    for name in ("attention_mask", "global_attention_mask", "token_type_ids", "position_ids"):
        for wrong in (ids[:, :9], ids[:1], ids[0]):
            raises(f"{name} must be (batch, tokens) = (4, 40)", lambda name=name, x=wrong: model(ids, **{name: x % 2}))
    raises("input_ids must be (batch, tokens)", lambda: model(ids[0]))
    raises("input_ids must be (batch, tokens)", lambda: model(ids[:, :0]))
    raises("inputs_embeds must be (batch, tokens, 16)", lambda: model(inputs_embeds=np.zeros((1, 3, 8), "float32")))
    choice = load("LongformerForMultipleChoice")
    raises("input_ids must be (batch, choices, tokens)", lambda: choice(ids))
    raises("(batch, choices, tokens) = (1, 4, 40)", lambda: choice(ids[None], attention_mask=ids))
    raises("must have the shape (4,), got (3,)", lambda: model(ids, labels=np.zeros(3, "int32")))
    words = load("LongformerForMaskedLM")
    raises("must have the shape (4, 40)", lambda: words(ids, labels=ids.T))
    answers = load("LongformerForQuestionAnswering")
    raises("must have the shape (4,)", lambda: answers(ids, start_positions=ids[:3, 0], end_positions=ids[:3, 0]))


@check
def global_tokens_beyond_the_slots_raise() -> None:
    model, x, expected = beyond()
    raises("max_global_tokens=4", lambda: model(x))
    close(model({k: v[:1] for k, v in x.items()})[0], expected)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        graph = tf.function(lambda given: model(given)[0], reduce_retracing=True)
        given = {key: tf.constant(value, "int32") for key, value in x.items()}
        raises("max_global_tokens=4", lambda: graph(given), tf.errors.InvalidArgumentError)
        given["global_attention_mask"] *= tf.constant([[1], [0]])
        close(graph(given)[:1], expected)


@check
def global_tokens_beyond_the_slots_are_nan_where_nothing_can_raise() -> None:
    model, x, expected = beyond()
    found = keras.ops.convert_to_numpy(compiled(lambda given: model(given)[0])(x))
    close(found[:1], expected)
    assert np.isnan(found[1]).all()


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


@check
def head_mask_scales_heads() -> None:
    model, x = load("LongformerModel"), rows()
    factors = np.array([[0.0, 1.0], [0.5, 2.0]], "float32")
    out = model(x, head_mask=factors, output_attentions=True)
    plain = model(x, output_attentions=True)
    assert not keras.ops.convert_to_numpy(out.attentions[0])[:, 0].any()
    close(out.attentions[0][:, 1], plain.attentions[0][:, 1], 1e-6)
    close(model(x, head_mask=factors[1])[0], model(x, head_mask=factors[[1, 1]])[0], 0)
    for layer, row in zip(model.encoder, factors, strict=True):  # a head's context is scaled where it is read
        layer.attended.kernel.assign(layer.attended.kernel * row.repeat(8)[:, None])
    close(model(x)[0], out[0])


@check
def softmax_by_default_is_told() -> None:
    with unittest.TestCase().assertLogs("longspan.keras") as logs:
        for _ in range(2):
            load("NystromformerModel", num_landmarks=66)(rows())
            load("NystromformerModel", num_landmarks=66, attention_type="softmax")(rows())
    assert len(logs.output) == 1 and "grows with the square" in logs.output[0], logs.output


@check
def window_attention_equals_dense() -> None:
    """Against masked attention over all keys in float64, also at lengths around the edges of blocks."""
    from longspan.keras.window import choose_slots, window_attention

    random = np.random.default_rng(0)
    for length, reach, share in ((1, 3, 0.0), (32, 0, 0.2), (33, 1, 0.0), (65, 16, 0.1), (97, 20, 1.0), (40, 90, 0.3)):
        query, key, value = random.standard_normal((3, 2, 2, length, 4)).astype("float32")
        valid = np.arange(length) < np.array([[length], [max(length - 7, 0)]])
        is_global = (random.random((2, length)) < share) & valid
        columns, taken = choose_slots(keras.ops.convert_to_tensor(is_global), length + 2)
        columns = keras.ops.convert_to_numpy(columns)
        global_key, global_value = (np.take_along_axis(x, columns[:, None, :, None], 2) for x in (key, value))
        arguments = [query, key, value, valid & ~is_global, global_key, global_value]
        *arguments, global_key, global_value = (keras.ops.convert_to_tensor(x) for x in arguments)
        remote = (global_key, global_value, taken)
        found, maps = window_attention(*arguments, remote, reach, with_maps=True)
        near = np.abs(np.subtract.outer(np.arange(length), np.arange(length))) <= reach
        seen = np.where(is_global[:, None], True, near & valid[:, None])[:, None]
        weights = np.exp(query.astype("float64") @ key.swapaxes(2, 3)) * seen
        expected = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300) @ value
        rows = valid[:, None, :, None]
        close(keras.ops.where(rows, found, 0.0), (expected * rows).astype("float32"))
        alone, _ = window_attention(*arguments, remote, reach)
        close(keras.ops.where(rows, alone, 0.0), keras.ops.where(rows, found, 0.0), 1e-6)
        assert maps.shape == (2, 2, length, length + 2 + 2 * reach + 1)
