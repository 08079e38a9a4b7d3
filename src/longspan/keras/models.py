"""What all twelve classes share: the way through the layers.

Shapes: B batch, N tokens, H heads, d hidden size.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, ClassVar

import keras
from keras import ops

from .arguments import valid_tokens
from .files import KeptInFiles
from .layers import Sight, first_true, linear, norm, refuse, table, take_rows
from .outputs import Output
from .training import TrainedByTask


class PreTrainedModel(TrainedByTask, KeptInFiles):
    """Base of all models: embeddings and encoder.

    A family says by ``places`` where tokens are in their documents, (B, N) from 0, negative for the row of the table
    before the first, and by ``look`` what its layers' attention needs to know. A head has the hooks ``make_head``,
    ``score`` and ``task_loss``, which takes scores and labels in the order of ``score_names`` and ``label_names``.

    Args:
        config: a configuration of this package or of ``longspan``, or the dictionary of one.
        name, dtype, trainable: as of every Keras model; ``dtype`` may be a policy, such as "mixed_bfloat16".
    """

    # of a family; ``attention_mask`` has so many values, and ``call`` is without some arguments
    layer_class: ClassVar[Any]
    mask_values: ClassVar[int]
    without: ClassVar[tuple[str, ...]] = ()
    # names of its heads in checkpoints, their activations in place of the configuration's (masked LM, classification),
    # and whether padding takes no part in the loss of question answering
    mlm_keys: ClassVar[tuple[str, str, str]]
    choice_key: ClassVar[str | None]
    activations: ClassVar[tuple[str, str] | None]
    masks_padding: ClassVar[bool]
    # of a head
    default_global: ClassVar[str | None] = None
    has_pooler: ClassVar[bool] = False

    def __init_subclass__(cls, output: type[Output] | None = None) -> None:
        """Register a class that has an output, and give its ``call`` the arguments of family and head."""
        super().__init_subclass__()
        if output is None:
            return
        cls.output_class = output
        keras.saving.register_keras_serializable(package="longspan")(cls)
        shared = inspect.signature(PreTrainedModel.call)
        *first, last = (p for name, p in shared.parameters.items() if name not in cls.without)
        labels = [first[1].replace(name=name) for name in cls.label_names]
        signature = shared.replace(parameters=[*first, *labels, last])
        cls.arguments = [name for name in signature.parameters if name not in ("self", "training")]

        @functools.wraps(PreTrainedModel.call)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind(self, *args, **kwargs).arguments
            return self.run(**{name: value for name, value in given.items() if name != "self"})

        call.__signature__ = signature  # type: ignore[attr-defined]
        cls.call = call  # type: ignore[method-assign]

    def __init__(self, config: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.autocast = False  # Keras would round labels of a regression to the dtype of the layers
        self._allow_non_tensor_positional_args = True  # lists of numbers, and what a tokenizer returns
        self.config = config = self.config_class.from_dict(config)
        self.word = table(self, "embeddings-word_embeddings", config.vocab_size)
        self.position = table(self, "embeddings-position_embeddings", config.positions[0])
        self.token_type = table(self, "embeddings-token_type_embeddings", config.type_vocab_size)
        self.norm = norm(self, "embeddings-LayerNorm")
        self.drop = keras.layers.Dropout(config.hidden_dropout_prob, dtype=self.dtype_policy)
        self.encoder = [self.layer_class(config, i, self.dtype_policy) for i in range(config.num_hidden_layers)]
        self.pooler = linear(self, "pooler-dense") if self.has_pooler else None
        self.make_head()
        self.built = True

    def pack_maps(self, maps: list[Any], sight: Sight) -> dict[str, Any]:
        """The attention maps of all layers, by name."""
        return {"attentions": tuple(maps)}

    def make_head(self) -> None:
        """Make the layers of the head."""

    def score(self, outputs: dict[str, Any], inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        """The head's scores by name, from the encoder's outputs."""
        return {}

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        head_mask: Any = None,
        global_attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        inputs_embeds: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> Any:
        """The outputs for a batch of documents of any length.

        Heads also take ``labels`` before ``training``, and return the task's loss: ids of words (B, N), of classes (B,)
        or (B, N), or of choices (B,), -100 for none; numbers for a regression, and for several labels each. Question
        answering takes ``start_positions`` and ``end_positions``, (B,); those outside the text are no targets.

        Args:
            input_ids: (B, N) ids; or a dictionary of all inputs, or a list of them in this order.
            attention_mask: (B, N), 0 padding, on any side, 1 local, 2 global; by default no padding.
            head_mask: (H,) or (layers, H), factors of the heads' probabilities. Longformer only.
            global_attention_mask: (B, N), 0 local, 1 global; a global token on padding is ignored. Longformer only.
            token_type_ids: (B, N), by default 0.
            position_ids: (B, N), by default counted from 0: by Longformer over ids other than the padding id, by
                Nyströmformer from each row's first valid token. The first token has position ``config.positions[1]``.
            inputs_embeds: (B, N, d) in place of ``input_ids``.
            output_attentions, output_hidden_states, return_dict: as in the configuration by default.
            training: whether dropout is applied.

        Raises:
            ValueError, TypeError: naming the argument, what came and what is possible. A TensorFlow graph raises an
                InvalidArgumentError for values; XLA and JAX's jit cannot, and make that row NaN.
        """
        raise NotImplementedError

    def run(self, training: bool = False, **given: Any) -> Any:
        """All of ``call``."""
        inputs = self.inputs_of(**given)
        outputs = self.encode(inputs, bool(training))
        outputs |= self.score(outputs, inputs, bool(training))
        labels = [inputs[name] for name in self.label_names]
        if labels and all(x is not None for x in labels):
            outputs["loss"] = self.task_loss([outputs[name] for name in self.score_names], labels, inputs)
        packed = self.output_class(**outputs)
        return packed if inputs["return_dict"] else packed.to_tuple()

    def encode(self, inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        """The encoder's outputs by name."""
        valid = valid_tokens(inputs)
        hidden, wrong = self.embed(inputs, valid, training)
        sight, fault = self.look(inputs, valid)
        sight.with_maps = bool(inputs["output_attentions"])
        hidden = hidden + ops.cast(wrong + fault, hidden.dtype)[:, None, None]
        states, maps = [hidden], []
        for layer in self.encoder:
            hidden, found = layer(hidden, sight=sight, training=training)
            states.append(hidden)
            maps.append(found)
        outputs = {"last_hidden_state": hidden, **(self.pack_maps(maps, sight) if sight.with_maps else {})}
        if inputs["output_hidden_states"]:
            outputs["hidden_states"] = tuple(states)
        if self.pooler is not None:
            outputs["pooler_output"] = ops.tanh(self.pooler(first_token(hidden, inputs)))
        return outputs

    def embed(self, inputs: dict[str, Any], valid: Any, training: bool) -> tuple[Any, Any]:
        """Embeddings (B, N, d), and what :func:`.layers.refuse` adds to rows with impossible ids or masks."""
        config, words, types = self.config, inputs["input_ids"], inputs["token_type_ids"]
        values = {"attention_mask": self.mask_values, "global_attention_mask": 2, "input_ids": config.vocab_size}
        values |= {"token_type_ids": config.type_vocab_size, "position_ids": config.positions[0]}
        wrong = ops.zeros(ops.shape(valid)[:1])
        for name, count in values.items():
            if (ids := inputs.get(name)) is not None:
                outside = ops.any(ops.logical_or(ids < 0, ids >= count), axis=1)
                wrong += refuse(outside, f"{name} must lie between 0 and {count - 1}")
        places, (count, start, padding) = inputs["position_ids"], config.positions
        if places is None:
            places, period = self.places(inputs, valid), config.position_period
            if period is not None:
                places = ops.where(places < 0, places, places % period)
            else:
                message = (
                    f"the input has more tokens than the {count - start} that the model has positions for; shorten it, "
                    "use a model with a larger max_position_embeddings, or set position_period"
                )
                wrong += refuse(ops.any(places >= count - start, axis=1), message)
            places = places + start
        embeds = inputs["inputs_embeds"] if words is None else _look_up(self.word, words, config.pad_token_id)
        kinds = _look_up(self.token_type, ops.zeros((1, 1), "int32") if types is None else types, None)
        hidden = embeds + _look_up(self.position, places, padding) + kinds
        return self.drop(self.norm(hidden), training=training), wrong


def first_token(hidden: Any, inputs: dict[str, Any]) -> Any:
    """Hidden state (B, d) of each row's first valid token."""
    return take_rows(hidden, first_true(valid_tokens(inputs)))[:, 0]


def _look_up(vectors: Any, ids: Any, padding: int | None) -> Any:
    # through reshape, whose gradient is dense: on TensorFlow Keras' optimizers square each row of a sparse gradient by
    # itself, so that Adam's second moment of a token that occurs n times would not be that of its gradient
    weights = ops.reshape(vectors.embeddings, (-1, vectors.output_dim))
    rows = ops.cast(ops.take(weights, ids, axis=0), vectors.compute_dtype)
    return rows if padding is None else ops.where(ops.expand_dims(ids == padding, -1), ops.stop_gradient(rows), rows)
