"""What a Keras class has to do beside computing right: training and compiling. Runs in a process of its own.

    KERAS_BACKEND=jax python -m tests.keras.behaviour FOLDER CHECK ...

FOLDER is one of :mod:`tests.keras.references`. Prints the name of each check that passed, also of those of
:mod:`tests.keras.calling` and :mod:`tests.keras.saving`.
"""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np

from longspan import keras as lk

from . import calling, saving  # noqa: F401 (their checks)
from .checks import BACKEND, CHECKS, check, classifier, close, load, raises, rows


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
def what_fit_cannot_use_is_told() -> None:
    x, y = rows(2), np.arange(2)
    for name, given, message in (
        ("LongformerModel", y, "has no loss of its own: give compile a loss"),
        ("LongformerForQuestionAnswering", y, "a pair of start_positions and end_positions"),
        ("LongformerForSequenceClassification", None, "there are no labels"),
    ):
        model = load(name)
        model.compile("sgd", run_eagerly=True)
        raises(message, lambda model=model, y=given: model.fit(x, y, verbose=0))
    model = classifier(return_dict=False)
    model.compile("sgd", run_eagerly=True)
    raises("return_dict=True", lambda: model.fit(x, y, verbose=0))
    model = classifier()
    model.compile("sgd", run_eagerly=True)
    raises("sample_weight cannot", lambda: model.fit(x, y, class_weight={0: 1.0, 1: 2.0}, verbose=0))


@check
def weighted_metrics_leave_out_what_is_no_target() -> None:
    x, y = rows(4), np.array([0, -100, 1, -100])
    model = classifier()
    right = keras.ops.convert_to_numpy(model(x).logits).argmax(-1) == y
    model.compile("sgd", weighted_metrics=["sparse_categorical_accuracy"], run_eagerly=True)
    found = model.evaluate(x, y, verbose=0, return_dict=True)["sparse_categorical_accuracy"]
    assert abs(found - right[[0, 2]].mean()) < 1e-6, found


@check
def numbers_among_the_labels_are_not_rounded() -> None:
    config = load("LongformerForSequenceClassification").config.replace(num_labels=1)
    model = lk.TFLongformerForSequenceClassification(config, dtype="mixed_bfloat16")
    labels = np.full(2, 1000.3, "float32")  # 1000 in bfloat16
    found = model(rows(2), labels=labels)
    scores = keras.ops.convert_to_numpy(keras.ops.cast(found.logits, "float32"))[:, 0]
    close(found.loss / 1e6, ((scores - labels) ** 2).mean() / 1e6, 1e-5)


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


if __name__ == "__main__":
    for chosen in sys.argv[2:] or CHECKS:
        CHECKS[chosen]()
        print(chosen, flush=True)
    assert BACKEND == "torch" or "torch" not in sys.modules, "torch was imported"
