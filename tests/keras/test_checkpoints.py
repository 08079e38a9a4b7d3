"""Checkpoints and configurations go between torch and Keras unchanged, and no torch is needed to read them."""

import json

import torch

import longspan
from tests.keras import references
from tests.keras.support import run

# names of classes, each in a folder of its own, from one place to another
SAVE = """
import sys
from longspan import keras as lk
source, target, *names = sys.argv[1:]
for name in names:
    getattr(lk, "TF" + name).from_pretrained(f"{source}/{name}").save_pretrained(f"{target}/{name}")
assert not {"torch", "transformers"} & set(sys.modules)
"""
CONFIGURATIONS = """
import json
from longspan import keras as lk
print(json.dumps({name: vars(getattr(lk, name)()) for name in ("LongformerConfig", "NystromformerConfig")}))
"""


def test_torch_loads_what_keras_saved(tmp_path):
    models = {
        "LongformerForMaskedLM": references.build("LongformerForMaskedLM"),
        "NystromformerForMaskedLM": references.build("NystromformerForMaskedLM", tie_word_embeddings=False),
    }
    for name, model in models.items():
        # shards as small as a weight
        model.save_pretrained(tmp_path / "torch" / name, max_shard_size="4KB")
        assert (tmp_path / "torch" / name / "model.safetensors.index.json").is_file()
    run("tensorflow", "-c", SAVE, tmp_path / "torch", tmp_path / "keras", *models)
    for name, model in models.items():
        again, found = type(model).from_pretrained(tmp_path / "keras" / name, output_loading_info=True)
        assert not any(found.values()), found
        expected = model.state_dict()
        if name.startswith("Nys"):  # the bias beside a decoder's own scores nothing, and is saved as a copy of it
            expected["cls.predictions.bias"] = expected["cls.predictions.decoder.bias"]
        assert again.state_dict().keys() == expected.keys()
        assert all(torch.equal(x, expected[key]) for key, x in again.state_dict().items())
        before, after = (json.loads((tmp_path / x / name / "config.json").read_text()) for x in ("torch", "keras"))
        assert all(after[key] == value for key, value in before.items() if key != "dtype")


def test_the_configurations_have_the_same_fields_and_defaults():
    for name, ours in json.loads(run("tensorflow", "-c", CONFIGURATIONS)[-1]).items():
        assert not ours.pop("extra")
        config = getattr(longspan, name)()
        assert ours == json.loads(json.dumps({field: getattr(config, field) for field in ours}))
        class_fields = {
            field for field, kind in type(config).__annotations__.items() if not kind.startswith("ClassVar")
        }
        assert class_fields <= ours.keys()
