"""Reading a checkpoint that is to be converted: what can be, why something else cannot, its weights."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedConfig

from ..hub import check_name
from ..quiet import quiet_transformers
from .heads import HEADS, KINDS

# model types that can be converted, and what the names of their weights begin with
STYLES = {
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "bert": "bert",
    "electra": "electra",
    "longformer": "longformer",
}
# constants that old versions of transformers saved
_CONSTANTS = ("position_ids", "token_type_ids")


@dataclass(frozen=True)
class Source:
    """A checkpoint that was read.

    Attributes:
        name: directory or hub id.
        config: its configuration.
        style: a key of :data:`HEADS`.
        architecture: the class that it was saved by.
        encoder: the model without its head, float32, in eval mode.
        dtype: of the saved weights.
        has_pooler: whether the pooler's weights are in the checkpoint.
        kind: of its head, one of :data:`KINDS`, where its weights are known and complete.
        head: the weights of that head.
        others: names of the weights in the checkpoint that are neither of the encoder nor of that head.
    """

    name: str
    config: Any
    style: str
    architecture: str
    encoder: nn.Module
    dtype: torch.dtype
    has_pooler: bool
    kind: str | None
    head: dict[str, Tensor]
    others: tuple[str, ...]

    @property
    def first_position(self) -> int:
        """The row of the position table that a document's first token has."""
        return 0 if self.style in ("bert", "electra") else (self.config.pad_token_id or 0) + 1

    @property
    def positions(self) -> int:
        """The longest input, in tokens."""
        return int(self.config.max_position_embeddings) - self.first_position


def read_fields(name: str) -> dict[str, Any]:
    """The content of the checkpoint's config.json.

    Raises:
        OSError: there is no such directory, or no config.json in it.
    """
    check_name(name)
    fields, _ = PreTrainedConfig.get_config_dict(name)
    if not fields:
        raise FileNotFoundError(f"{name!r} has no config.json, or an empty one")
    return fields


def check_fields(name: str, fields: dict[str, Any], to: str) -> None:
    """Refuse what cannot be converted to ``to``.

    Raises:
        ValueError: with the reason, and what is possible.
    """
    model_type = fields.get("model_type")
    if model_type not in STYLES:
        raise ValueError(
            f"{name!r} is a checkpoint of model type {model_type!r}, which cannot be converted. Possible: "
            f"{', '.join(STYLES)}"
        )
    if model_type == "longformer" and to != "longformer":
        raise ValueError(f"{name!r} is a Longformer: it can be made longer, with to='longformer', got to={to!r}")
    if fields.get("is_decoder") or fields.get("add_cross_attention"):
        raise ValueError(f"{name!r} is a decoder (is_decoder or add_cross_attention); only encoders can be converted")
    kind = fields.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise ValueError(
            f"{name!r} has position_embedding_type {kind!r}; only absolute positions can be repeated over a longer text"
        )
    # ELECTRA's default is 128
    size, embedding_size = fields.get("hidden_size", 256), fields.get("embedding_size", 128)
    if model_type == "electra" and embedding_size != size:
        raise ValueError(
            f"{name!r} has embedding_size {embedding_size} and hidden_size {size}: a projection joins them that "
            f"{to} models do not have"
        )
    if fields.get("quantization_config") is not None:
        raise ValueError(f"{name!r} is quantised; convert the checkpoint that it was made from")
    if fields.get("position_period") is not None:
        raise ValueError(f"{name!r} has position_period {fields['position_period']}: it reads any length already")


def read_source(name: str, fields: dict[str, Any]) -> Source:
    """Read the weights of a checkpoint whose ``fields`` were checked.

    Raises:
        ValueError: weights are missing, do not fit the configuration, or cannot be read.
        OSError: a file is missing.
    """
    style = STYLES[fields["model_type"]]
    architecture = (fields.get("architectures") or [""])[0]
    kind = _kind_of(architecture, style)
    head: dict[str, Tensor] = {}
    if kind is not None:
        layout = HEADS[style][kind]
        model, found = _load(name, style, kind)
        if any(layout.owns(key) for key in found["missing_keys"]):
            kind = None
        else:
            weights = model.state_dict()
            head = {key: weights[key].float().clone() for key in layout.weight_names()}
        del model
    encoder, found = _load(name, style, "Model")
    dtype = encoder.dtype
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ValueError(
            f"{name!r} lacks {len(missing)} weights of a {fields['model_type']} encoder: {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}"
        )
    has_pooler = any(key.startswith("pooler.") for key in encoder.state_dict())
    others = tuple(
        sorted(
            key
            for key in found["unexpected_keys"]
            if not key.endswith(_CONSTANTS) and not (kind is not None and HEADS[style][kind].owns(key))
        )
    )
    return Source(
        name=name,
        config=encoder.config,
        style=style,
        architecture=architecture or type(encoder).__name__,
        encoder=encoder.float().eval(),
        dtype=dtype,
        has_pooler=has_pooler and not any(key.startswith("pooler.") for key in found["missing_keys"]),
        kind=kind,
        head=head,
        others=others,
    )


def _kind_of(architecture: str, style: str) -> str | None:
    if style == "bert" and architecture.endswith("ForPreTraining"):
        return "ForMaskedLM"  # the sentence-pair half of that head has no counterpart
    return next((kind for kind in KINDS if architecture.endswith(kind) and kind in HEADS[style]), None)


def _load(name: str, style: str, kind: str) -> tuple[Any, dict[str, Any]]:
    """A model of the checkpoint, and what its loading found missing and unexpected."""
    if style == "longformer":
        from .. import longformer

        loader = getattr(longformer, f"Longformer{kind}")
    else:
        loader = transformers.AutoModel if kind == "Model" else getattr(transformers, f"AutoModel{kind}")
    with quiet_transformers():
        try:
            return loader.from_pretrained(name, dtype="auto", output_loading_info=True)
        except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise ValueError(f"the weights of {name!r} cannot be read: {str(error).strip().splitlines()[0]}") from error
