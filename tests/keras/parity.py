"""Run Keras classes on the cases of :mod:`tests.keras.references` and print the largest errors as JSON lines.

    KERAS_BACKEND=tensorflow python -m tests.keras.parity FOLDER MODE [PATTERN ...]

A mode is eager, graph (``tf.function``), jit (XLA), or forward (without gradients: JAX by jit, else eager). A
pattern selects folders CASE/CLASS. No torch is imported but as the backend.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import longspan.keras
from longspan.keras.checkpoints import key_of

BACKEND = keras.backend.backend()
MAPS = ("attentions", "global_attentions")


def compute(model: Any, given: dict[str, Any], weight: Any, mode: str) -> tuple[Any, list[Any]]:
    """The outputs, and the gradient of the loss for each trainable weight."""

    def forward(variables: Any = None) -> tuple[Any, Any]:
        kwargs = {**given, "output_attentions": True, "output_hidden_states": True}
        if variables is None:
            out = model(**kwargs)
        else:
            out, _ = model.stateless_call(variables, [v.value for v in model.non_trainable_variables], **kwargs)
        loss = out.get("loss")
        if loss is None:
            loss = ops.sum(out[0] * weight) + ops.sum(out.get("pooler_output", 0.0))
        return loss, out

    if mode == "forward" and BACKEND != "jax":
        return forward()[1], []
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def step() -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                loss, out = forward()
            return out, tape.gradient(loss, [v.value for v in model.trainable_variables])

        return (step if mode == "eager" else tf.function(step, jit_compile=mode == "jit"))()
    if BACKEND == "jax":
        import jax

        values = [v.value for v in model.trainable_variables]
        if mode == "forward":
            return jax.jit(forward)(values)[1], []
        step = jax.value_and_grad(forward, has_aux=True)
        (_, out), gradients = (step if mode == "eager" else jax.jit(step))(values)
        return out, gradients
    loss, out = forward()
    loss.backward()
    return out, [v.value.grad for v in model.trainable_variables]


def flatten(name: str, value: Any) -> dict[str, np.ndarray]:
    """Arrays of nested tuples, by name."""
    if isinstance(value, tuple | list):
        return {key: x for i, part in enumerate(value) for key, x in flatten(f"{name}.{i}", part).items()}
    return {name: np.asarray(ops.convert_to_numpy(value))}


def drop_slots(found: np.ndarray, expected: np.ndarray, name: str) -> np.ndarray:
    """The maps of a compiled program without the columns of empty slots, which have to be 0."""
    extra = found.shape[-1] - expected.shape[-1]
    if extra <= 0:
        return found
    # (B, H, N, x + window) or (B, H, N, x): the empty slots come after the x that are used
    used = next(x for x in range(expected.shape[-1] + 1) if not found[..., x : x + extra].any())
    return np.concatenate([found[..., :used], found[..., used + extra :]], axis=-1)


def error(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        raise AssertionError(f"shape {found.shape}, expected {expected.shape}")
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return float(np.abs(found.astype("float64") - expected).max(initial=0)) / scale


def compare(place: Path, mode: str) -> dict[str, float]:
    """Largest errors of one case and class, by what they are of."""
    model = getattr(longspan.keras, f"TF{place.name}").from_pretrained(place)
    with np.load(place / "case.npz") as file:
        content = dict(file)
    given = {key[3:]: x for key, x in content.items() if key.startswith("in.")}
    tensors = {key: ops.convert_to_tensor(x) for key, x in given.items()}
    weight = ops.convert_to_tensor(content["weight"]) if "weight" in content else None
    out, gradients = compute(model, tensors, weight, mode)
    found = {key: x for name, value in out.items() for key, x in flatten(f"out.{name}", value).items()}
    worst: dict[str, float] = {}
    valid = None
    if "attention_mask" in given:
        valid = given["attention_mask"].reshape(-1, given["attention_mask"].shape[-1]) != 0
    expected_keys = {key for key in content if key.startswith("out.")}
    missing = expected_keys - set(found)
    assert not missing, f"{place}: no {sorted(missing)}"
    for key in expected_keys:
        kind, value, expected = key.split(".")[1], found[key], content[key]
        if kind in MAPS and place.name.startswith("Longformer"):
            value = drop_slots(value, expected, kind)
        if valid is not None and kind in ("last_hidden_state", "hidden_states"):
            value, expected = value[valid], expected[valid]
        worst[kind] = max(worst.get(kind, 0.0), error(value, expected))
    prefix = f"{model.config.model_type}."
    expected_gradients = {key[5:].removeprefix(prefix): x for key, x in content.items() if key.startswith("grad.")}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=mode != "forward"):
        key = key_of(variable)
        expected = expected_gradients.get(key)
        if expected is None:  # tied: torch has one of the two names
            expected = expected_gradients[
                key.replace("head.bias", "head.decoder.bias").replace("ons.bias", "ons.decoder.bias")
            ]
        if gradient is None:  # only what inputs_embeds leave out may stay out of the graph
            assert key == "embeddings.word_embeddings.weight" and "in.inputs_embeds" in content, f"{place}: {key}"
            assert not expected.any()
            continue
        value = dense(gradient)
        value = value.T if variable.name == "kernel" else value
        worst["gradients"] = max(worst.get("gradients", 0.0), error(value, expected))
    return worst


def dense(gradient: Any) -> np.ndarray:
    if BACKEND == "tensorflow":
        import tensorflow as tf

        gradient = tf.convert_to_tensor(gradient)
    return np.asarray(ops.convert_to_numpy(gradient))


def main(folder: str, mode: str, *patterns: str) -> None:
    places = sorted({place for pattern in patterns or ("*/*",) for place in Path(folder).glob(pattern)})
    assert places
    for place in places:
        result = {"case": place.parent.name, "class": place.name, "mode": mode, "errors": compare(place, mode)}
        print(json.dumps(result), flush=True)
    if BACKEND != "torch":
        assert "torch" not in sys.modules, "torch was imported"


if __name__ == "__main__":
    main(*sys.argv[1:])
