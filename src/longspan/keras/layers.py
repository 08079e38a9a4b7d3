"""Layers of both families, each named after its keys in a checkpoint, with ``-`` for ``.`` (see :mod:`.checkpoints`).

Shapes: B batch, N tokens, H heads, D head size, d = H * D hidden size.
"""

from __future__ import annotations

import logging
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

ACTIVATIONS: dict[str, Any] = {
    "gelu": partial(ops.gelu, approximate=False),
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_pytorch_tanh"), partial(ops.gelu, approximate=True)),
    "relu": ops.relu,
    **dict.fromkeys(("silu", "swish"), ops.silu),
    "tanh": ops.tanh,
}
# below every score; finite, so that a row that sees nothing has finite gradients
NEVER = -1e30


def table(owner: Any, name: str, rows: int) -> Any:
    """An embedding of ``rows`` vectors of size d, made for the layer ``owner``: by its configuration, in its dtype."""
    layer = keras.layers.Embedding(rows, owner.config.hidden_size, _normal(owner), name=name, dtype=owner.dtype_policy)
    layer.build()
    return layer


def linear(owner: Any, name: str, units: int | None = None, inputs: int | None = None) -> Any:
    """A linear layer from ``inputs`` to ``units``, each d by default, made for the layer ``owner``."""
    size = owner.config.hidden_size
    layer = keras.layers.Dense(units or size, kernel_initializer=_normal(owner), name=name, dtype=owner.dtype_policy)
    layer.build((None, inputs or size))
    return layer


def norm(owner: Any, name: str) -> Any:
    """A layer normalisation made for the layer ``owner``."""
    layer = keras.layers.LayerNormalization(epsilon=owner.config.layer_norm_eps, name=name, dtype=owner.dtype_policy)
    layer.build((None, owner.config.hidden_size))
    return layer


def _normal(owner: Any) -> Any:
    return keras.initializers.RandomNormal(stddev=owner.config.initializer_range)


def alike(shape: Any, other: Any) -> bool:
    """Whether two shapes are the same, as far as both are known."""
    return len(shape) == len(other) and all(None in x or x[0] == x[1] for x in zip(shape, other, strict=True))


class Sight(SimpleNamespace):
    """What a family's attention knows of who sees whom. No dictionary: Keras mixes no tensors with numbers in one."""

    valid: Any
    with_maps: bool


class EncoderLayer(keras.layers.Layer):
    """A post-norm layer around ``attend``, which is the family's own."""

    projections: ClassVar[tuple[str, ...]] = ("query", "key", "value")

    def __init__(self, config: Any, index: int, dtype: Any) -> None:
        super().__init__(dtype=dtype)
        self.config, self.index, self.heads = config, index, config.num_attention_heads
        prefix, wide = f"encoder-layer-{index}-", config.intermediate_size
        for name in self.projections:
            setattr(self, name, linear(self, f"{prefix}attention-self-{name}"))
        self.attended = linear(self, f"{prefix}attention-output-dense")
        self.attended_norm = norm(self, f"{prefix}attention-output-LayerNorm")
        self.widen = linear(self, f"{prefix}intermediate-dense", wide)
        self.narrow = linear(self, f"{prefix}output-dense", inputs=wide)
        self.narrow_norm = norm(self, f"{prefix}output-LayerNorm")
        self.drop = keras.layers.Dropout(config.hidden_dropout_prob, dtype=dtype)
        self.built = True

    def attend(self, hidden: Any, sight: Sight, training: bool) -> tuple[Any, Any]:
        """Context (B, N, d), and where ``sight.with_maps`` the maps."""
        raise NotImplementedError

    def call(self, hidden: Any, sight: Any = None, training: bool = False) -> tuple[Any, Any]:
        """Hidden states (B, N, d), and the maps of the attention."""
        context, maps = self.attend(hidden, sight, training)
        hidden = self.attended_norm(self.drop(self.attended(context), training=training) + hidden)
        # as a matrix: TensorFlow fuses product, bias and GELU of two axes only
        rows = ops.reshape(hidden, (-1, self.config.hidden_size))
        rows = self.narrow(ACTIVATIONS[self.config.hidden_act](self.widen(rows)))
        return self.narrow_norm(self.drop(ops.reshape(rows, ops.shape(hidden)), training=training) + hidden), maps


def masked_softmax(scores: Any, visible: Any) -> Any:
    """Softmax over the last axis in float32, exactly 0 where not ``visible`` unless nothing in the row is."""
    return ops.softmax(ops.where(visible, ops.cast(scores, "float32"), NEVER), axis=-1)


def split_heads(x: Any, heads: int) -> Any:
    """(B, N, d) as (B, H, N, D)."""
    batch, length, size = ops.shape(x)
    return ops.transpose(ops.reshape(x, (batch, length, heads, size // heads)), (0, 2, 1, 3))


def join_heads(x: Any) -> Any:
    """(B, H, N, D) as (B, N, d)."""
    batch, heads, length, size = ops.shape(x)
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, length, heads * size))


def take_rows(x: Any, index: Any) -> Any:
    """Rows ``index`` (B, K) of x (B, M, d), (B, K, d): a gather of whole rows, linear also backward."""
    batch, length, size = ops.shape(x)
    start = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    return ops.take(ops.reshape(x, (-1, size)), index + start, axis=0)


def first_true(x: Any) -> Any:
    """The first column (B, 1) int32 where x (B, N) bool is True; 0 where none is."""
    return ops.cast(ops.argmax(ops.cast(x, "int32"), axis=1, keepdims=True), "int32")


@cache
def warn_once(message: str) -> None:
    """Log a warning the first time that it is given."""
    logging.getLogger("longspan.keras").warning(message)


def read(x: Any) -> np.ndarray | None:
    """The values of a tensor, None while a program is traced."""
    try:
        return ops.convert_to_numpy(x)
    except (NotImplementedError, TypeError, ValueError):
        return None


def refuse(wrong: Any, message: str) -> Any:
    """Refuse ``wrong`` (B,) bool as early as the program can; returns what to add to the rows' results.

    Raises:
        ValueError: outside of compiled programs. A TensorFlow graph without XLA raises an InvalidArgumentError when
            it runs. XLA and JAX's jit cannot raise: there the result (B,) is NaN for wrong rows; for others it is 0.
    """
    values = read(wrong)
    if values is not None and values.any():
        raise ValueError(message)
    if values is None and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.debugging.assert_equal(tf.reduce_any(wrong), False, message)
    return ops.where(wrong, float("nan"), 0.0)
