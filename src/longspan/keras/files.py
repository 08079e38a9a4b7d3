"""Models from checkpoints and into files: safetensors, ``.keras``, SavedModel."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import keras

from . import checkpoints
from .arguments import TakesArguments

_HUB = ("cache_dir", "revision", "token", "local_files_only")


class KeptInFiles(TakesArguments):
    """A model that is loaded from checkpoints, and saved as one or as a file of Keras."""

    # of a family: its constructor has options beside the configuration
    config_class: ClassVar[Any]
    options: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_pretrained(
        cls, source: str | os.PathLike[str], /, *, config: Any = None, from_pt: bool = True, **kwargs: Any
    ) -> Any:
        """Load a safetensors checkpoint, of the torch classes or of these, sharded or not.

        Args:
            source: a directory or a hub id.
            config: in place of the checkpoint's.
            from_pt: accepted: the checkpoints are the same.
            kwargs: arguments of the class (``dtype``, ``name``, Longformer's ``max_global_tokens``), fields of the
                configuration with other values than the checkpoint has, and for the hub ``cache_dir``, ``revision``,
                ``token`` and ``local_files_only``.

        Raises:
            ValueError: the checkpoint is of another architecture, lacks weights of the encoder, or does not have the
                shapes of its configuration.
            FileNotFoundError: a file is missing.
            TypeError: a keyword is no argument and no field.
        """
        del from_pt
        folder = checkpoints.find(os.fspath(source), **{key: kwargs.pop(key) for key in _HUB if key in kwargs})
        own = {key: kwargs.pop(key) for key in ("dtype", "name", "trainable", *cls.options) if key in kwargs}
        content = json.loads((folder / "config.json").read_text(encoding="utf-8")) if config is None else config
        model = cls(cls.config_class.from_dict(content).replace(**kwargs), **own)
        checkpoints.load(model, folder)
        return model

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write config.json and model.safetensors, which the torch class of this name loads strictly."""
        checkpoints.save(self, Path(directory))

    def get_config(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self.options}
        return {**super().get_config(), "config": self.config.to_dict(), **options}

    def export(self, filepath: Any, format: str = "tf_saved_model", input_signature: Any = None, **kwargs: Any) -> Any:
        """Export the model, by default with ids and masks of any batch and length.

        Raises:
            ValueError: a SavedModel is asked for on another backend than TensorFlow.
        """
        backend = keras.backend.backend()
        if format == "tf_saved_model" and backend != "tensorflow":
            raise ValueError(
                f"a SavedModel needs KERAS_BACKEND=tensorflow, this is {backend!r}; save the model, and load and "
                "export it there"
            )
        if input_signature is None:
            shape, names = (None,) * self.input_axes, ("input_ids", "attention_mask")
            input_signature = [{name: keras.InputSpec(shape=shape, dtype="int32", name=name) for name in names}]
        return super().export(filepath, format=format, input_signature=input_signature, **kwargs)
