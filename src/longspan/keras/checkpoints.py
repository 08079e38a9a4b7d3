"""Checkpoints of the torch classes, read and written without torch.

A layer is named after its keys in the checkpoint, with ``-`` for ``.``: ``encoder-layer-0-output-dense`` holds
``encoder.layer.0.output.dense.weight`` and ``.bias``. Keys of the backbone have the family's prefix in the checkpoint
of a head and none in that of the model without one; names of layers never have it.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from longspan.atomic import write_file, write_json

logger = logging.getLogger("longspan.keras")

# what a layer of Keras calls its variables
_WEIGHTS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
_BACKBONE = ("embeddings.", "encoder.", "pooler.")
# the two names of a masked-LM head's bias
_ALIASES = (("lm_head.bias", "lm_head.decoder.bias"), ("cls.predictions.bias", "cls.predictions.decoder.bias"))
# not read: constants of old versions of transformers, what a head may leave out, copies of the word embeddings
_UNUSED = (
    *("embeddings.position_ids", "embeddings.token_type_ids", "pooler."),
    *("lm_head.decoder.weight", "cls.predictions.decoder.weight", *(x for pair in _ALIASES for x in pair)),
)


def key_of(variable: Any) -> str:
    """The key of a model's variable in a checkpoint, without the family's prefix."""
    layer, name = variable.path.split("/")[-2:]
    return f"{layer.replace('-', '.')}.{_WEIGHTS.get(name, name)}"


def find(name: str, **hub: Any) -> Path:
    """The directory of a checkpoint, downloaded where ``name`` is a hub id.

    Raises:
        FileNotFoundError: there is no such directory, or no config.json in it.
    """
    folder = Path(name)
    if not folder.is_dir():
        if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
            raise FileNotFoundError(f"{name!r} is no directory, and no hub id either")
        from huggingface_hub import snapshot_download

        patterns = ["config.json", "*.safetensors", "*.safetensors.index.json"]
        folder = Path(snapshot_download(name, allow_patterns=patterns, **hub))
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{name!r} has no config.json")
    return folder


def read(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of a checkpoint, sharded or not.

    Raises:
        FileNotFoundError: there is no safetensors file.
        ValueError: a file is truncated or corrupt.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    index, files = folder / "model.safetensors.index.json", {"model.safetensors"}
    # beside a whole file, the shards are of an older checkpoint
    if index.is_file() and not (folder / "model.safetensors").is_file():
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    tensors: dict[str, np.ndarray] = {}
    for file in sorted(folder / name for name in files):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} is missing; only safetensors files are read. A pytorch_model.bin becomes one by loading it "
                "with the torch class and save_pretrained"
            )
        try:
            tensors |= load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file} is truncated or corrupt ({error}); nothing was loaded") from error
    return tensors


def load(model: Any, folder: Path) -> None:
    """Assign the tensors of a checkpoint to the variables of ``model``; those of a head that are missing stay new.

    Raises:
        ValueError: weights of embeddings or encoder are missing, or some have other shapes than the configuration
            says; nothing was assigned.
    """
    prefix, name = f"{model.config.model_type}.", type(model).__name__
    tensors = {key.removeprefix(prefix): value for key, value in read(folder).items()}
    for pair in _ALIASES:
        found = [tensors[key] for key in pair if key in tensors]
        tensors = {**dict.fromkeys(pair, found[0]), **tensors} if found else tensors
    variables = {key_of(variable): variable for variable in model.weights}
    missing = sorted(variables.keys() - tensors.keys())
    if needed := [key for key in missing if key.startswith(_BACKBONE[:2])]:
        raise ValueError(f"{str(folder)!r} lacks {len(needed)} weights of embeddings and encoder: {_some(needed)}")
    values = {key: _turn(tensors[key], variables[key]) for key in variables.keys() & tensors.keys()}
    if wrong := [key for key, value in values.items() if value.shape != tuple(variables[key].shape)]:
        raise ValueError(
            f"{len(wrong)} weights in {str(folder)!r} do not have the shapes of its config: {_some(wrong)}"
        )
    if missing:
        logger.warning("%s: not in the checkpoint, and new: %s", name, ", ".join(missing))
    if unused := sorted(key for key in tensors if key not in variables and not key.startswith(_UNUSED)):
        logger.warning("%s: in the checkpoint, but not used: %d weights, %s", name, len(unused), _some(unused))
    for key, value in values.items():
        variables[key].assign(value.astype("float32"))


def save(model: Any, folder: Path) -> None:
    """Write config.json and model.safetensors, which the torch class loads strictly."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for variable in model.weights:
        key, value = key_of(variable), np.asarray(variable.numpy())
        prefix = f"{model.config.model_type}." if model.label_names and key.startswith(_BACKBONE) else ""
        tensors[prefix + key] = np.ascontiguousarray(_turn(value, variable))
    for name, other in _ALIASES:  # a decoder that is not tied: torch keeps its bias under both names
        if other in tensors:
            tensors[name] = tensors[other].copy()
    with write_file(folder / "model.safetensors") as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
    # torch loads in the dtype that is written here
    content = model.config.to_dict()
    content |= {"architectures": [type(model).__name__.removeprefix("TF")], "dtype": model.variable_dtype}
    content.pop("torch_dtype", None)  # the old name of dtype
    write_json(folder / "config.json", content)


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")


def _turn(value: np.ndarray, variable: Any) -> np.ndarray:
    """Keras keeps the weight of a linear layer as (in, out), torch as (out, in)."""
    return value.T if variable.name == "kernel" else value
