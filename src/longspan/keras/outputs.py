"""Outputs of the models: dictionaries without None, whose values are also attributes and items by number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import keras
import optree


class Output(dict):
    """The values that are not None, by name, in the order of the names that the class is made with."""

    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, pairs: Iterable[tuple[str, Any]] = (), **values: Any) -> None:
        given = {**dict(pairs), **values}
        super().__init__((name, given[name]) for name in self.names if given.get(name) is not None)

    def __init_subclass__(cls, names: str) -> None:
        cls.names = tuple(names.split())

        # or Keras' `predict` and JAX's `jit` take an output for a leaf
        def flatten(output: Any) -> tuple[tuple[Any, ...], tuple[str, ...]]:
            return tuple(output.values()), tuple(output)

        def unflatten(names: Any, values: Iterable[Any]) -> Any:
            return cls(zip(names, values, strict=True))

        optree.register_pytree_node(cls, lambda x: (*flatten(x), tuple(x)), unflatten, namespace="keras")
        if keras.backend.backend() == "jax":
            import jax

            jax.tree_util.register_pytree_node(cls, flatten, unflatten)

    def __getattr__(self, name: str) -> Any:
        if name in self.names:
            return self.get(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; it has {', '.join(self.names)}")

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The values in order."""
        return tuple(self.values())


_MAPS = " hidden_states attentions global_attentions"


class TFLongformerBaseModelOutput(Output, names="last_hidden_state" + _MAPS):
    """``last_hidden_state`` (B, N, d); ``hidden_states``, ``attentions`` and ``global_attentions`` where asked for.

    As :class:`longspan.LongformerBaseModelOutput`; in a compiled program, whose shapes cannot depend on the masks, the
    number x of global tokens is that of the slots, the largest possible one.
    """


class TFLongformerBaseModelOutputWithPooling(Output, names="last_hidden_state pooler_output" + _MAPS):
    """:class:`TFLongformerBaseModelOutput` with ``pooler_output`` (B, d), from each row's first valid token."""


class TFLongformerMaskedLMOutput(Output, names="loss logits" + _MAPS):
    """``loss`` () and ``logits`` (B, N, vocab_size); the rest as in :class:`TFLongformerBaseModelOutput`."""


class TFLongformerQuestionAnsweringModelOutput(Output, names="loss start_logits end_logits" + _MAPS):
    """``loss`` (), ``start_logits`` and ``end_logits`` (B, N); the rest as in :class:`TFLongformerBaseModelOutput`."""


class TFLongformerSequenceClassifierOutput(Output, names="loss logits" + _MAPS):
    """``loss`` () and ``logits`` (B, num_labels); the rest as in :class:`TFLongformerBaseModelOutput`."""


class TFLongformerMultipleChoiceModelOutput(Output, names="loss logits" + _MAPS):
    """``loss`` () and ``logits`` (B, choices); the rest of B * choices rows, as in the base model's output."""


class TFLongformerTokenClassifierOutput(Output, names="loss logits" + _MAPS):
    """``loss`` () and ``logits`` (B, N, num_labels); the rest as in :class:`TFLongformerBaseModelOutput`."""


class TFNystromformerModelOutput(Output, names="last_hidden_state hidden_states attentions"):
    """``last_hidden_state`` (B, N, d); ``hidden_states`` and ``attentions`` where asked for.

    One layer's attention is the tuple (kernel_1, inverse, kernel_3) of :class:`longspan.ops.nystrom.NystromFactors`,
    or the map (B, H, N, N) where the attention is softmax.
    """


class TFNystromformerHeadOutput(Output, names="loss logits start_logits end_logits hidden_states attentions"):
    """``loss`` () and ``logits``, or ``start_logits`` and ``end_logits``; the rest as of the model without a head."""
