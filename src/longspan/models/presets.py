"""Sizes of models to train from scratch, by name, the same for both families."""

from __future__ import annotations

from typing import Any, NamedTuple

from longspan.models.longformer import LongformerConfig
from longspan.models.nystromformer import NystromformerConfig

MAX_LENGTH = 4096
"""Tokens that a preset reads, special ones included, where nothing else is said."""


class Size(NamedTuple):
    """What a size fixes; heads are 64 wide, feed-forward layers four times as wide as the model.

    The sizes are those of BERT and its miniatures (Turc and others, Well-Read Students Learn Better, 2019). ``window``
    is Longformer's attention window, ``landmarks`` Nyströmformer's number of landmarks.
    """

    layers: int
    width: int
    window: int
    landmarks: int


SIZES = {
    "tiny": Size(layers=2, width=128, window=128, landmarks=32),
    "mini": Size(layers=4, width=256, window=256, landmarks=64),
    "small": Size(layers=4, width=512, window=256, landmarks=64),
    "base": Size(layers=12, width=768, window=512, landmarks=64),
}


def preset_config(
    size: str, family: str = "longformer", *, vocab_size: int, max_length: int = MAX_LENGTH, **fields: Any
) -> LongformerConfig | NystromformerConfig:
    """The configuration of a new model.

    Longformer has the window of the size in every layer. Nyströmformer computes Nyström attention at every length; its
    ``segment_means_seq_len``, which only ``transformers`` reads, is the longest document rounded up to a multiple of
    the landmarks, and never the landmarks themselves, which would mean softmax attention there.

    Args:
        size: one of ``SIZES``.
        family: "longformer" or "nystromformer".
        vocab_size: entries of the tokenizer.
        max_length: tokens of the longest document, special ones included.
        **fields: other fields of the configuration, before those of the preset; see :func:`token_fields`.

    Raises:
        ValueError: there is no such size or family, or ``max_length`` is below 1.
    """
    if size not in SIZES:
        raise ValueError(f"there is no size {size!r}; the sizes are {', '.join(SIZES)}")
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, got {max_length}")
    layers, width, window, landmarks = SIZES[size]
    common: dict[str, Any] = {
        "vocab_size": vocab_size,
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": width // 64,
        "intermediate_size": 4 * width,
        "layer_norm_eps": 1e-5,
    }
    if family == "longformer":
        pad = fields.get("pad_token_id", LongformerConfig.pad_token_id) or 0
        own: dict[str, Any] = {
            "attention_window": window,
            # rows up to the padding's are reserved
            "max_position_embeddings": max_length + pad + 1,
            "type_vocab_size": 1,
        }
        return LongformerConfig(**{**common, **own, **fields})
    if family == "nystromformer":
        own = {
            "attention_type": "nystrom",
            "num_landmarks": landmarks,
            "segment_means_seq_len": landmarks * max(2, -(-max_length // landmarks)),
            "inv_coeff_init_option": True,
            "max_position_embeddings": max_length,
        }
        return NystromformerConfig(**{**common, **own, **fields})
    raise ValueError(f"there is no family {family!r}; the families are longformer and nystromformer")


def token_fields(tokenizer: Any) -> dict[str, Any]:
    """The fields of a configuration that say which tokens are special, and how many there are."""
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("pad", "bos", "eos", "sep")}
    # some tokenizers name only what stands first and between, which is the same
    ids["bos_token_id"] = tokenizer.cls_token_id if ids["bos_token_id"] is None else ids["bos_token_id"]
    ids["eos_token_id"] = ids["sep_token_id"] if ids["eos_token_id"] is None else ids["eos_token_id"]
    return {"vocab_size": len(tokenizer), **ids}
