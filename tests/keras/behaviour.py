"""What a Keras class has to do beside computing right: training, saving, refusing. Runs in a process of its own.

    KERAS_BACKEND=jax python -m tests.keras.behaviour FOLDER CHECK ...

FOLDER is one of :mod:`tests.keras.references`. Prints the name of each check that passed.
"""

from __future__ import annotations

import inspect
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from longspan import keras as lk

BACKEND = keras.backend.backend()
REFERENCES = Path(sys.argv[1])
TASKS = ("MaskedLM", "SequenceClassification", "TokenClassification", "MultipleChoice", "QuestionAnswering")
CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS[function.__name__] = function
    return function


def load(name: str, case: str = "ragged", **kwargs: Any) -> Any:
    return getattr(lk, f"TF{name}").from_pretrained(REFERENCES / case / name, **kwargs)


def classifier(**kwargs: Any) -> Any:
    """A model without dropout from the same weights each time, of one layer: compilers take long."""
    return load("LongformerForSequenceClassification", num_hidden_layers=1, attention_window=8, **kwargs)


def rows(count: int = 4, length: int = 40, seed: int = 0) -> dict[str, np.ndarray]:
    """Documents whose class is told by the word that fills them, the last fifth of each row padding."""
    random = np.random.default_rng(seed)
    ids = random.integers(5, 60, (count, length))
    ids[:, 1:20] = np.where(np.arange(count)[:, None] % 2, 7, 9)
    mask = (np.arange(length) < length * 4 // 5).astype("int64").repeat(count).reshape(length, count).T
    return {"input_ids": np.where(mask == 1, ids, 1), "attention_mask": mask}


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    a, b = (keras.ops.convert_to_numpy(x) for x in (a, b))
    assert a.shape == b.shape and np.abs(a - b).max() <= tolerance, np.abs(a - b).max()


def raises(message: str, function: Callable[[], Any], kinds: Any = (ValueError, TypeError)) -> None:
    try:
        function()
    except kinds as error:
        assert message in str(error), error
    else:
        raise AssertionError(f"nothing said {message!r}")


@check
def fit_learns_from_y_and_from_x() -> None:
    x, y = rows(8), np.arange(8) % 2
    model = classifier()
    # XLA has its turn in compiles_by_xla
    compiled = {"weighted_metrics": ["sparse_categorical_accuracy"], "jit_compile": BACKEND == "jax"}
    model.compile(keras.optimizers.SGD(0.1), **compiled)
    history = model.fit(x, y, batch_size=4, epochs=8, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0], history
    result = model.evaluate({**x, "labels": y}, batch_size=4, verbose=0, return_dict=True)
    assert result["sparse_categorical_accuracy"] == 1.0, result
    predicted = model.predict({**x, "labels": y}, batch_size=4, verbose=0)
    assert predicted["logits"].shape == (8, 3) and "loss" not in predicted
    assert (predicted["logits"].argmax(-1) == y).all()
    model = classifier()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    again = model.fit({**x, "labels": y}, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert np.allclose(again, history[:2], atol=1e-4), (again, history)


@check
def a_word_steps_once_however_often_it_occurs() -> None:
    x, y = rows(4), np.arange(4) % 2
    model = classifier()
    before = keras.ops.convert_to_numpy(model.word.embeddings)
    # the first step of Adam is as long as the rate, whatever the gradient
    model.compile(keras.optimizers.Adam(0.01, epsilon=1e-12), run_eagerly=True)
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    step = np.abs(keras.ops.convert_to_numpy(model.word.embeddings) - before)
    assert 0.0099 < step.max() < 0.0101, step.max()


@check
def other_heads_train() -> None:
    x = rows(4)
    words = np.where(x["attention_mask"] == 1, x["input_ids"], -100)
    for name, labels in (
        ("NystromformerForMaskedLM", {"labels": words}),
        ("LongformerForQuestionAnswering", {"start_positions": np.arange(4), "end_positions": np.arange(4) + 2}),
    ):
        model = load(name)
        model.compile(keras.optimizers.SGD(0.01), jit_compile=BACKEND == "jax")
        y = labels.get("labels", labels)
        history = model.fit(x, y, batch_size=4, epochs=4, verbose=0).history["loss"]
        assert history[-1] < history[0], history
        found = model.predict({**x, **labels}, verbose=0)
        assert "loss" not in found and len(found) == len(labels)


@check
def a_loss_of_keras_sees_logits_and_labels() -> None:
    x = rows(4)
    for name, labels in (
        ("NystromformerForSequenceClassification", {"labels": np.arange(4) % 3}),
        ("LongformerForQuestionAnswering", {"start_positions": np.arange(4), "end_positions": np.arange(4) + 2}),
    ):
        model = load(name)
        own = keras.ops.convert_to_numpy(model({**x, **labels}).loss) * len(labels)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(loss=loss if len(labels) == 1 else [loss, loss], run_eagerly=True)
        for given in ((x, labels if len(labels) > 1 else labels["labels"]), ({**x, **labels},)):
            assert abs(model.evaluate(*given, verbose=0, return_dict=True)["loss"] - own) < 1e-5


@check
def a_saved_model_returns_the_same() -> None:
    x = rows()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("LongformerForTokenClassification", "NystromformerForMaskedLM"):
            model = load(name)
            before = model(x).logits
            model.save(f"{folder}/{name}.keras")
            again = keras.saving.load_model(f"{folder}/{name}.keras")
            assert type(again) is type(model) and again.config == model.config
            close(again(x).logits, before, 1e-6)
            model.save_pretrained(f"{folder}/{name}")
            close(type(model).from_pretrained(f"{folder}/{name}", from_pt=True)(x).logits, before, 1e-6)


@check
def mixed_precision_is_near_and_trains() -> None:
    x, y = rows(), np.arange(4) % 3
    exact = classifier()(x).logits
    model = classifier(dtype="mixed_bfloat16")
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    assert {layer.compute_dtype for layer in model._flatten_layers()} == {"bfloat16"}
    found = model(x).logits
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    close(keras.ops.cast(found, "float32"), exact, 0.2)
    other = load("NystromformerModel", dtype="mixed_bfloat16")
    assert {layer.compute_dtype for layer in other._flatten_layers()} == {"bfloat16"}
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(other(x)[0], "float32"))).all()
    model.compile(keras.optimizers.SGD(0.01), jit_compile=BACKEND == "jax")
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


@check
def compiles_by_xla() -> None:
    x, y = rows(), np.arange(4) % 3
    model = classifier()
    before = model(x).logits
    model.compile(keras.optimizers.SGD(0.0), jit_compile=True)
    close(model.predict(x, verbose=0)["logits"], before)
    model.fit(x, y, verbose=0)


@check
def a_functional_model_may_hold_one() -> None:
    x = {key: keras.ops.convert_to_tensor(value, "int32") for key, value in rows().items()}
    for name in ("LongformerModel", "NystromformerModel"):
        inner = load(name)
        inputs = {key: keras.Input((None,), dtype="int32", name=key) for key in x}
        outer = keras.Model(inputs, inner(inputs).last_hidden_state[:, 0])
        close(outer(x), inner(x)[0][:, 0], 1e-6)


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
    raises("'maks' is no argument", lambda: model({"input_ids": x["input_ids"], "maks": x["attention_mask"]}))
    raises("exactly one", lambda: model({"attention_mask": x["attention_mask"]}))


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
    raises("no global tokens", lambda: nystromformer(x["input_ids"], attention_mask=x["attention_mask"] * 2))
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
def dropout_drops_only_in_training() -> None:
    model, x = load("LongformerModel", attention_probs_dropout_prob=0.5), rows()
    close(model(x)[0], model(x)[0], 0)
    one, two = (keras.ops.convert_to_numpy(model(x, training=True)[0]) for _ in range(2))
    assert np.abs(one - two).max() > 1e-3 and np.isfinite(one).all()


@check
def one_graph_serves_every_length() -> None:
    import tensorflow as tf

    def trace(model: Any) -> Any:
        shape = tf.TensorSpec((None, None), "int32")
        signature = [{"input_ids": shape, "attention_mask": shape}]
        return tf.function(lambda x: model(x).logits, input_signature=signature)

    for name in ("LongformerForSequenceClassification", "NystromformerForSequenceClassification"):
        model = load(name)
        graph = trace(model)
        for length in (3, 33, 100):
            x = {key: tf.constant(value[:, :length], "int32") for key, value in rows(2, 100).items()}
            close(graph(x), model(x).logits)
        assert graph.experimental_get_tracing_count() == 1


@check
def exports_to_a_saved_model() -> None:
    import tensorflow as tf

    model = classifier()
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        served = tf.saved_model.load(folder)
        for length in (9, 40):
            x = {key: tf.constant(value[:, :length], "int32") for key, value in rows(2).items()}
            close(served.serve(x)["logits"], model(x).logits)


@check
def memory_for_a_token_is_flat() -> None:
    """By XLA's own account, forward and backward, of a program that is not run."""
    import jax

    sizes = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 20000}
    for model in (
        lk.TFLongformerForMaskedLM({**sizes, "attention_window": 128}),
        lk.TFNystromformerForMaskedLM({**sizes, "num_landmarks": 16}),
    ):
        values = [[v.value for v in vs] for vs in (model.trainable_variables, model.non_trainable_variables)]

        def loss(variables: Any, rest: Any, ids: Any, model: Any = model) -> Any:
            return model.stateless_call(variables, rest, ids, labels=ids)[0].loss

        step = jax.jit(jax.value_and_grad(loss))
        extra = []
        for length in (4096, 16384):
            ids = jax.ShapeDtypeStruct((1, length), "int32")
            memory = step.lower(*values, ids).compile().memory_analysis()
            extra.append(memory.temp_size_in_bytes / length)
        assert extra[1] < 1.05 * extra[0], (type(model).__name__, extra)


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


if __name__ == "__main__":
    for chosen in sys.argv[2:] or CHECKS:
        CHECKS[chosen]()
        print(chosen, flush=True)
    assert BACKEND == "torch" or "torch" not in sys.modules, "torch was imported"
