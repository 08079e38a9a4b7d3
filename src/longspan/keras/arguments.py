"""Arguments of the models: what may be given, and the tensors that it becomes.

Shapes: B batch, N tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from .layers import alike

_FLAGS = ("output_attentions", "output_hidden_states", "return_dict")


class TakesArguments(keras.Model):
    """A model whose first argument may be the input ids, or a dictionary or list of all inputs."""

    # of a class: names of all its arguments, and of its labels among them
    arguments: ClassVar[list[str]] = []
    label_names: ClassVar[tuple[str, ...]] = ()
    # of a head: axes of input_ids
    input_axes: ClassVar[int] = 2
    config: Any

    def inputs_of(self, input_ids: Any = None, **given: Any) -> dict[str, Any]:
        """All arguments of ``call`` by name: tensors, ids and masks in int32, flags as the configuration has them.

        Raises:
            ValueError: a name is unknown, not exactly one of ``input_ids`` and ``inputs_embeds`` was given, or a shape
                is not possible.
            TypeError: an argument was given twice.
        """
        if isinstance(input_ids, list | tuple) and any(hasattr(x, "shape") for x in input_ids):
            input_ids = dict(zip(self.arguments, input_ids, strict=False))
        given = dict(**(input_ids if isinstance(input_ids, Mapping) else {"input_ids": input_ids}), **given)
        for name in given:
            if name not in self.arguments:
                raise ValueError(
                    f"{name!r} is no argument of {type(self).__name__}; it takes {', '.join(self.arguments)}"
                )
        inputs = {name: self.as_tensor(name, given.get(name)) for name in self.arguments}
        for name in _FLAGS:
            inputs[name] = getattr(self.config, name) if inputs[name] is None else inputs[name]
        if (inputs["input_ids"] is None) == (inputs["inputs_embeds"] is None):
            count = "neither" if inputs["input_ids"] is None else "both"
            raise ValueError(f"give exactly one of input_ids and inputs_embeds, got {count}")
        self.check_shapes(inputs)
        return inputs

    def check_shapes(self, inputs: dict[str, Any]) -> None:
        """Refuse shapes that do not fit, as far as a graph knows them."""
        axes = ("batch", "choices", "tokens") if self.input_axes == 3 else ("batch", "tokens")
        name = "inputs_embeds" if inputs["input_ids"] is None else "input_ids"
        found, size = tuple(inputs[name].shape), () if name == "input_ids" else (self.config.hidden_size,)
        if not alike(found, (None,) * len(axes) + size) or found[len(axes) - 1] == 0:
            raise ValueError(f"{name} must be ({', '.join(map(str, axes + size))}) with a token, got {found}")
        for name in ("attention_mask", "global_attention_mask", "token_type_ids", "position_ids"):
            x = inputs.get(name)
            if x is not None and not alike(x.shape, found[: len(axes)]):
                raise ValueError(f"{name} must be ({', '.join(axes)}) = {found[: len(axes)]}, got {tuple(x.shape)}")

    def as_tensor(self, name: str, value: Any) -> Any:
        """The argument ``name`` as a tensor: floats where they may be, else int32.

        Raises:
            TypeError: ids or positions are not whole numbers.
        """
        if value is None or name in _FLAGS:
            return value
        value = ops.convert_to_tensor(value)
        if name == "labels" and not is_whole(value):
            return value
        if not is_whole(value) and name.endswith(("_ids", "_positions")):
            raise TypeError(f"{name} must be of an integer dtype, got {value.dtype}")
        return ops.cast(value, self.compute_dtype if name in ("inputs_embeds", "head_mask") else "int32")


def is_whole(x: Any) -> bool:
    """Whether a tensor is of an integer dtype."""
    return "int" in keras.backend.standardize_dtype(x.dtype)


def valid_tokens(inputs: dict[str, Any]) -> Any:
    """(B, N) bool, False at padding."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    if mask is not None:
        return mask != 0
    return ops.ones(ops.shape(inputs["inputs_embeds"] if ids is None else ids)[:2], "bool")
