"""How a Keras class is kept in files: checks that :mod:`tests.keras.behaviour` runs."""

from __future__ import annotations

import json
import logging
import tempfile
import unittest
from pathlib import Path

import keras
from safetensors.numpy import load_file, save_file

from .checks import REFERENCES, check, classifier, close, load, rows


@check
def a_checkpoint_is_replaced_whole() -> None:
    name = "LongformerForMaskedLM"
    tensors = load_file(REFERENCES / "ragged" / name / "model.safetensors")
    kind = type(load(name))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shards = {key: f"{i % 2}.safetensors" for i, key in enumerate(sorted(tensors))}
        for file in set(shards.values()):
            save_file({key: tensors[key] for key in shards if shards[key] == file}, folder / file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
        content = {**load(name).config.to_dict(), "dtype": "float32", "torch_dtype": "float32"}
        (folder / "config.json").write_text(json.dumps(content))
        model = kind.from_pretrained(folder, name="mine", dtype="bfloat16")
        assert model.name == "mine"
        model.dense.bias.assign(model.dense.bias * 0 + 3)
        model.save_pretrained(folder)
        assert (keras.ops.convert_to_numpy(kind.from_pretrained(folder).dense.bias) == 3).all()
        written = json.loads((folder / "config.json").read_text())
        assert written["dtype"] == "bfloat16" and "torch_dtype" not in written
        # old checkpoints hold the tied decoder too
        whole = load_file(folder / "model.safetensors")
        whole["lm_head.decoder.weight"] = whole["longformer.embeddings.word_embeddings.weight"].copy()
        save_file(whole, folder / "model.safetensors")
        with unittest.TestCase().assertNoLogs("longspan.keras", logging.WARNING):
            kind.from_pretrained(folder)


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
def exports_to_a_saved_model() -> None:
    import tensorflow as tf

    model = classifier()
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        served = tf.saved_model.load(folder)
        for length in (9, 40):
            x = {key: tf.constant(value[:, :length], "int32") for key, value in rows(2).items()}
            close(served.serve(x)["logits"], model(x).logits)
