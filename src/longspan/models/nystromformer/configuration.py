"""Configuration of Nyströmformer, readable and writable as existing checkpoints have it."""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from ..configuration import LongspanConfig, check_sizes

ATTENTION_TYPES = (None, "nystrom", "softmax")


@strict
class NystromformerConfig(LongspanConfig):
    """Configuration of a Nyströmformer.

    Attributes:
        vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, hidden_act: as in BERT.
        hidden_dropout_prob: dropout rate in training.
        attention_probs_dropout_prob: accepted and never applied, as in ``transformers``.
        max_position_embeddings: longest document in tokens; the table has two rows more, which are reserved.
        type_vocab_size, initializer_range, layer_norm_eps: as in BERT.
        segment_means_seq_len: decides ``attention_type`` where that is None; it limits no length.
        num_landmarks: landmarks m a document; any number goes with any length.
        conv_kernel_size: size of the depthwise convolution over the values, odd, or None for no convolution.
        inv_coeff_init_option: start the iterative inverse of each head from its own scale instead of the largest over
            the document's heads. Converges faster; existing checkpoints were trained without it. Also spelled
            ``inv_init_coeff_option``.
        pad_token_id, bos_token_id, eos_token_id: special tokens.
        add_cross_attention: kept for existing files; it has no effect.
        tie_word_embeddings: whether the masked-LM decoder shares the word embeddings.
        attention_type: "nystrom" (linear), "softmax" (exact, quadratic) or None (the default), which decides as
            ``transformers`` does: softmax where ``segment_means_seq_len == num_landmarks``, else Nyström. A longspan
            field.
        position_period: positions repeat with this period, so that a short table serves any length; None (the
            default) for positions that do not repeat. A longspan field.
    """

    model_type = "nystromformer"
    own_fields: ClassVar[dict[str, Any]] = {"attention_type": None, "position_period": None}
    attribute_map: ClassVar[dict[str, str]] = {"inv_init_coeff_option": "inv_coeff_init_option"}
    # one layer's attention is three matrices of different shapes, which Trainer cannot concatenate over batches
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "attentions"]

    vocab_size: int = 30000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 510
    type_vocab_size: int = 2
    segment_means_seq_len: int = 64
    num_landmarks: int = 64
    conv_kernel_size: int | None = 65
    inv_coeff_init_option: bool = False
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True
    attention_type: str | None = None
    position_period: int | None = None

    @property
    def uses_softmax(self) -> bool:
        """Whether the attention is exact softmax attention."""
        if self.attention_type is None:
            return self.segment_means_seq_len == self.num_landmarks
        return self.attention_type == "softmax"

    def check(self) -> None:
        """Refuse what no model can be built from.

        Raises:
            ValueError: naming the field, its value and what is possible.
        """
        check_sizes(self)
        if self.attention_type not in ATTENTION_TYPES:
            raise ValueError(f"attention_type must be None, 'nystrom' or 'softmax', got {self.attention_type!r}")
        if self.num_landmarks < 1:
            raise ValueError(f"num_landmarks must be at least 1, got {self.num_landmarks}")
        size = self.conv_kernel_size
        if size is not None and (size < 1 or size % 2 == 0):
            raise ValueError(f"conv_kernel_size must be odd or None, got {size}")
        room = self.max_position_embeddings
        if room < 1 or (self.position_period is not None and self.position_period > room):
            raise ValueError(
                f"max_position_embeddings {room} is too few for position_period {self.position_period}: at least "
                f"{self.position_period or 1} are needed"
            )
