"""The configurations of both families without torch: the fields of config.json, in dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from .layers import ACTIVATIONS

_OTHER_NAMES = {"inv_init_coeff_option": "inv_coeff_init_option"}


@dataclass
class Config:
    """What both families share; ``extra`` keeps the fields of config.json that are none of these.

    Raises:
        ValueError: no model can be built: names the field, its value and what is possible.
    """

    model_type: ClassVar[str]
    # fields of longspan's own reach config.json only where they differ from their default
    own_fields: ClassVar[tuple[str, ...]] = ("position_period",)

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = True
    position_period: int | None = None
    num_labels: int | None = None
    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    problem_type: str | None = None
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {int(i): name for i, name in (self.id2label or {0: "LABEL_0", 1: "LABEL_1"}).items()}
        if self.num_labels not in (None, len(names)):
            names, self.label2id = {i: f"LABEL_{i}" for i in range(self.num_labels or 0)}, None
        self.id2label, self.num_labels = names, len(names)
        self.label2id = self.label2id or {name: i for i, name in names.items()}
        for name, possible, what in self.rules():
            if not possible:
                raise ValueError(f"{name} must be {what}, got {getattr(self, name)!r}")

    def rules(self) -> Iterator[tuple[str, bool, str]]:
        """Fields, whether a model can have their values, and what these must be."""
        for name in ("vocab_size", "type_vocab_size", "hidden_size", "num_attention_heads", "intermediate_size"):
            yield name, getattr(self, name) >= 1, "positive"
        yield "num_hidden_layers", self.num_hidden_layers >= 0, "0 or more"
        heads, rows, period = self.num_attention_heads, self.positions[0] - self.positions[1], self.position_period
        yield "hidden_size", self.hidden_size % heads == 0, f"a multiple of num_attention_heads {heads}"
        yield "hidden_act", self.hidden_act in ACTIVATIONS, f"one of {', '.join(sorted(ACTIVATIONS))}"
        yield "max_position_embeddings", rows >= 1, f"at least {self.max_position_embeddings - rows + 1}"
        yield "position_period", period is None or 1 <= period <= rows, f"None, or from 1 to the {rows} positions"

    @property
    def positions(self) -> tuple[int, int, int | None]:
        """Rows of the position table, that of a document's first token, and that without a gradient."""
        return self.max_position_embeddings, 0, None

    @classmethod
    def from_dict(cls, given: Any) -> Any:
        """The configuration of a config.json's content, or of another configuration object.

        Raises:
            ValueError: it is of another architecture, or a value is not possible.
            TypeError: it is neither a dictionary nor a configuration.
        """
        if not isinstance(given, dict) and not hasattr(given, "to_dict"):
            raise TypeError(f"config must be a configuration or the dictionary of one, got {given!r}")
        given = given if isinstance(given, dict) else given.to_dict()
        given = {_OTHER_NAMES.get(name, name): value for name, value in given.items()}
        found = given.pop("model_type", cls.model_type)
        if found != cls.model_type:
            raise ValueError(f"this is a configuration of model type {found!r}; {cls.__name__} is {cls.model_type!r}")
        known = {f.name for f in fields(cls)}
        extra = {name: given.pop(name) for name in list(given) if name not in known}
        return cls(**{**given, "extra": {**given.get("extra", {}), **extra}})

    def to_dict(self) -> dict[str, Any]:
        """The content of config.json."""
        content = {**self.extra, "model_type": self.model_type}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name not in ("extra", "num_labels") and (f.name not in self.own_fields or value != f.default):
                content[f.name] = value
        return content

    def replace(self, **changes: Any) -> Any:
        """A configuration with other values.

        Raises:
            TypeError: there is no field of that name.
        """
        if {"num_labels", "id2label"} & changes.keys():
            changes = {"num_labels": None, "id2label": None, "label2id": None, **changes}
        return replace(self, **changes)


@dataclass
class LongformerConfig(Config):
    """Configuration of a Longformer, with the fields of :class:`longspan.LongformerConfig`."""

    model_type: ClassVar[str] = "longformer"
    own_fields: ClassVar[tuple[str, ...]] = ("position_period", "causal", "dilation")

    attention_window: list[int] | int = 512
    sep_token_id: int | None = 2
    onnx_export: bool = False
    causal: bool = False
    dilation: list[list[int]] | list[int] | int = 1

    def rules(self) -> Iterator[tuple[str, bool, str]]:
        yield from super().rules()
        right = len(self.windows) == self.num_hidden_layers
        right = right and all(isinstance(window, int) and window >= 0 for window in self.windows)
        yield "attention_window", right, f"a number >= 0, or a list of {self.num_hidden_layers}, one for each layer"
        yield "causal", not self.causal, "False: the causal model is a torch class only"
        yield "dilation", self.dilation == 1, "1: only a causal model has another"

    @property
    def windows(self) -> list[int]:
        """The window size of each layer."""
        window = self.attention_window
        return [window] * self.num_hidden_layers if isinstance(window, int) else list(window)

    @property
    def positions(self) -> tuple[int, int, int | None]:
        return self.max_position_embeddings, (self.pad_token_id or 0) + 1, self.pad_token_id


@dataclass
class NystromformerConfig(Config):
    """Configuration of a Nyströmformer, with the fields of :class:`longspan.NystromformerConfig`."""

    model_type: ClassVar[str] = "nystromformer"
    own_fields: ClassVar[tuple[str, ...]] = ("position_period", "attention_type")

    vocab_size: int = 30000
    hidden_act: str = "gelu_new"
    max_position_embeddings: int = 510
    layer_norm_eps: float = 1e-5
    segment_means_seq_len: int = 64
    num_landmarks: int = 64
    conv_kernel_size: int | None = 65
    inv_coeff_init_option: bool = False
    add_cross_attention: bool = False
    attention_type: str | None = None

    def rules(self) -> Iterator[tuple[str, bool, str]]:
        yield from super().rules()
        kinds, size = (None, "nystrom", "softmax"), self.conv_kernel_size
        yield "attention_type", self.attention_type in kinds, "None, 'nystrom' or 'softmax'"
        yield "num_landmarks", self.num_landmarks >= 1, "at least 1"
        yield "conv_kernel_size", size is None or (size >= 1 and size % 2 == 1), "odd or None"

    @property
    def positions(self) -> tuple[int, int, int | None]:
        return self.max_position_embeddings + 2, 2, None

    @property
    def uses_softmax(self) -> bool:
        """Whether the attention is exact softmax attention, whose cost is quadratic."""
        if self.attention_type is None:
            return self.segment_means_seq_len == self.num_landmarks
        return self.attention_type == "softmax"
