"""Configuration of Longformer, readable and writable as existing checkpoints have it."""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from ..configuration import LongspanConfig, check_sizes


@strict
class LongformerConfig(LongspanConfig):
    """Configuration of a Longformer.

    Attributes:
        attention_window: window size w, an int for all layers or a list with one per layer: a token sees w // 2
            tokens on each side of itself. Any w >= 0; it is saved as given.
        sep_token_id, pad_token_id, bos_token_id, eos_token_id: special tokens; the first separator bounds the
            question in the default global masks.
        vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, hidden_act: as in BERT.
        hidden_dropout_prob, attention_probs_dropout_prob: dropout rates in training.
        max_position_embeddings: rows of the position table. Two rows (``pad_token_id + 1``) are reserved, so the
            longest input has ``max_position_embeddings - pad_token_id - 1`` tokens.
        type_vocab_size, initializer_range, layer_norm_eps: as in BERT.
        onnx_export: kept for existing files; it has no effect.
        tie_word_embeddings: whether the masked-LM decoder shares the word embeddings.
        position_period: positions repeat with this period, so that a short table serves any length; None (the
            default) for positions that do not repeat. A longspan field.
        causal: whether the model is :class:`LongformerForCausalLM`'s: a token sees the w // 2 tokens before itself and
            none after. Layers are then pre-norm, positions relative, and no token is global. A longspan field.
        dilation: of a causal model: a head sees every dilation-th token before itself, w // 2 of them. An int for all
            heads, a list with one per layer, or a list of lists with one per layer and head. A longspan field.
    """

    model_type = "longformer"
    own_fields: ClassVar[dict[str, Any]] = {"position_period": None, "causal": False, "dilation": 1}
    # maps of batches of different lengths are no rows of one array, which is what Trainer would make of them
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "attentions", "global_attentions"]

    attention_window: list[int] | int = 512
    sep_token_id: int | None = 2
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    onnx_export: bool = False
    tie_word_embeddings: bool = True
    position_period: int | None = None
    causal: bool = False
    dilation: list[list[int]] | list[int] | int = 1

    @property
    def windows(self) -> list[int]:
        """The window size of each layer."""
        if isinstance(self.attention_window, int):
            return [self.attention_window] * self.num_hidden_layers
        return list(self.attention_window)

    @property
    def dilations(self) -> list[list[int]]:
        """The dilation of each head of each layer."""
        layers = [self.dilation] * self.num_hidden_layers if isinstance(self.dilation, int) else self.dilation
        return [[x] * self.num_attention_heads if isinstance(x, int) else list(x) for x in layers]

    @property
    def position_offset(self) -> int:
        """The position id of a document's first token; the rows before it are reserved."""
        return (self.pad_token_id or 0) + 1

    def check(self) -> None:
        """Refuse what no model can be built from.

        Raises:
            ValueError: naming the field, its value and what is possible.
        """
        check_sizes(self)
        _check_whole("attention_window", self.attention_window)
        if len(self.windows) != self.num_hidden_layers:
            raise ValueError(
                f"attention_window must be an int or a list with one per layer ({self.num_hidden_layers}), "
                f"got a list of {len(self.windows)}"
            )
        if any(window < 0 for window in self.windows):
            raise ValueError(f"attention_window must be at least 0, got {self.attention_window}")
        self._check_dilation()
        if self.causal:  # there is no table of positions
            size = self.hidden_size // self.num_attention_heads
            if size % 2:
                raise ValueError(f"the heads of a causal model must have an even size, got {size}")
            if self.position_period is not None:
                raise ValueError(f"position_period must be None where causal is True, got {self.position_period}")
            if self.output_attentions:
                raise ValueError("output_attentions must be False where causal is True: there are no maps")
            return
        room = self.max_position_embeddings - self.position_offset
        if room < 1 or (self.position_period is not None and self.position_period > room):
            raise ValueError(
                f"max_position_embeddings {self.max_position_embeddings} leaves {room} positions after the "
                f"{self.position_offset} reserved ones: too few for position_period {self.position_period}"
            )

    def _check_dilation(self) -> None:
        for x in self.dilation if isinstance(self.dilation, list | tuple) else [self.dilation]:
            _check_whole("dilation", x)
        if self.dilation == 1:
            return
        if not self.causal:
            raise ValueError(f"dilation must be 1 where causal is False, got {self.dilation!r}")
        layers, heads = self.num_hidden_layers, self.num_attention_heads
        found = self.dilations
        if len(found) != layers or any(len(steps) != heads for steps in found):
            raise ValueError(
                f"dilation must be an int, a list with one per layer ({layers}) or such a list with one per head "
                f"({heads}) in each place, got {self.dilation!r}"
            )
        if any(step < 1 for steps in found for step in steps):
            raise ValueError(f"dilation must be at least 1, got {self.dilation!r}")


def _check_whole(name: str, value: object) -> None:
    """Refuse what is neither a whole number nor a list of them.

    Raises:
        ValueError: naming the field.
    """
    for x in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(x, int) or isinstance(x, bool):
            place = "" if x is value else f" in {value!r}"
            raise ValueError(f"{name} must hold whole numbers, got {x!r}{place}")
