"""Longformer as a causal language model (Beltagy et al., arXiv 2004.05150, section 4): any length of text."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, initialization
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from ..checks import can_read_values, check_inputs, check_rows
from ..losses import IGNORED, cross_entropy
from ..segments import merge_padding
from .causal_attention import CausalSelfAttention, CausalVisibility, RollingCache, sinusoids
from .configuration import LongformerConfig
from .modeling import LongformerEncoder, LongformerPreTrainedModel


class CausalEmbeddings(nn.Module):
    """``dropout(word)``: positions are the attention's, and the first norm is the first layer's."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        """(B, N) or (B, N, d) to (B, N, d)."""
        return self.dropout(self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds)


class CausalLongformer(nn.Module):
    """Embeddings, layers and the last norm."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        self.embeddings = CausalEmbeddings(config)
        self.encoder = LongformerEncoder(config)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.head_size = config.hidden_size // config.num_attention_heads

    def forward(
        self,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        segment_ids: Tensor | None,
        cache: RollingCache | None,
        output_hidden_states: bool,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, N, d) of the tokens, which follow those in the cache."""
        hidden_states = self.embeddings(input_ids, inputs_embeds)
        start, length = 0 if cache is None else cache.get_seq_length(), hidden_states.shape[1]
        visibility = CausalVisibility(segment_ids, *sinusoids(start, length, self.head_size, hidden_states), cache)
        outputs = self.encoder(hidden_states, visibility, False, output_hidden_states)
        if cache is not None:
            cache.advance(hidden_states.shape[0], length)
        return BaseModelOutputWithPast(
            last_hidden_state=self.norm(outputs.last_hidden_state),
            past_key_values=cache,
            hidden_states=outputs.hidden_states,
        )


class LongformerForCausalLM(LongformerPreTrainedModel, GenerationMixin):
    """A Longformer that predicts the next token.

    A token sees the ``attention_window // 2`` tokens before itself of each layer, every ``dilation``-th of each head.
    The configuration has to say ``causal=True``.

    Raises:
        ValueError: it does not.
    """

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "longformer.embeddings.word_embeddings.weight"}
    # what is in the rings cannot be taken back, which assisted generation would need
    _is_stateful = True
    accepts_loss_kwargs = True

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__(config)
        if not config.causal:
            raise ValueError("config.causal must be True for LongformerForCausalLM, got False")
        self.longformer = CausalLongformer(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        return self.longformer.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the word embeddings."""
        self.longformer.embeddings.word_embeddings = value

    def get_output_embeddings(self) -> nn.Linear:
        """The decoder."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the decoder."""
        self.lm_head = new_embeddings

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CausalSelfAttention):
            initialization.zeros_(module.content_bias)
            initialization.zeros_(module.position_bias)
            # so that a distance weighs as much as a content: of its sinusoids the squares sum to half of their number
            std = self.config.initializer_range * (2 * module.num_heads) ** 0.5
            initialization.normal_(module.position.weight, std=std)

    def set_attention_window(self, window: int | Sequence[int]) -> None:
        """Let the layers see less or more from now on; no weight depends on it.

        Raises:
            ValueError: there is no such window; the model is as it was.
        """
        before = self.config.attention_window
        self.config.attention_window = list(window) if isinstance(window, Sequence) else window
        try:
            self.config.check()
        except ValueError:
            self.config.attention_window = before
            raise

    def new_cache(self) -> RollingCache:
        """An empty cache, for ``past_key_values``."""
        return RollingCache(self.config, self.config._attn_implementation or "sdpa")

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: RollingCache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        output_attentions: bool | None = None,
        segment_ids: Tensor | None = None,
        logits_to_keep: int = 0,
        num_items_in_batch: Tensor | int | None = None,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Logits (B, N, vocab_size) of the tokens that follow, and, with ``labels``, the cross entropy.

        Args:
            input_ids: (B, N) ids, or give ``inputs_embeds`` (B, N, d).
            attention_mask: (B, N), or with the tokens in the cache (B, P + N); 0 is padding.
            labels: (B, N), the ids themselves, as everywhere in ``transformers``: token i + 1 is the target of token i.
                -100 is no target; nor is the first token of a segment, nor padding.
            past_key_values: the cache of the tokens before, which takes in these; in inference only.
            use_cache: whether to begin one; not in training with gradient checkpointing.
            output_hidden_states: also return the hidden states of all layers.
            return_dict: False for a tuple.
            output_attentions: None or False: there are no maps.
            segment_ids: (B, N) integers: tokens see each other only when their ids are equal; negative is padding.
                Not with a cache.
            logits_to_keep: how many of the last tokens get logits; 0 for all of them.
            num_items_in_batch: number that the loss is divided by, instead of the targets here.

        Raises:
            ValueError, TypeError: naming the argument, what came and what is possible.
        """
        given = check_inputs(input_ids, inputs_embeds, self.config.hidden_size, self.config.vocab_size)
        cache = past_key_values
        if output_attentions:
            raise ValueError(f"output_attentions must be False for {type(self).__name__}, which has no maps, got True")
        if use_cache and self.training and self.longformer.encoder.gradient_checkpointing:
            warnings.warn("use_cache is off: gradient checkpointing runs layers twice", stacklevel=2)
            use_cache = False
        if cache is None and use_cache:
            cache = self.new_cache()
        check_rows("segment_ids", segment_ids, given)
        check_rows("labels", labels, given)
        if cache is not None:
            _check_cache(cache, self.config.windows, len(given), segment_ids)
        mask = _new_columns(attention_mask, given, 0 if cache is None else cache.get_seq_length())
        seen = merge_padding(segment_ids, mask)
        if not isinstance(logits_to_keep, int) or isinstance(logits_to_keep, bool) or logits_to_keep < 0:
            raise ValueError(f"logits_to_keep must be a whole number of at least 0, got {logits_to_keep!r}")
        if labels is not None and logits_to_keep:
            raise ValueError(f"logits_to_keep must be 0 with labels, got {logits_to_keep}")
        config = self.config
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        outputs = self.longformer(input_ids, inputs_embeds, seen, cache, bool(output_hidden_states))
        hidden_states = outputs.last_hidden_state
        logits = self.lm_head(hidden_states[:, -logits_to_keep:] if logits_to_keep else hidden_states)
        loss = None
        if labels is not None:
            loss = cross_entropy(logits[:, :-1], _next_tokens(labels, seen), num_items_in_batch)
        packed = CausalLMOutputWithPast(
            loss=loss, logits=logits, past_key_values=cache, hidden_states=outputs.hidden_states
        )
        return packed if (config.return_dict if return_dict is None else return_dict) else packed.to_tuple()

    def _prepare_cache_for_generation(
        self, generation_config: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        mask = model_kwargs.get("attention_mask")
        if mask is not None and can_read_values(mask) and not mask[:, -1].all():
            row = int((mask[:, -1] == 0).to(torch.int64).argmax())
            raise ValueError(
                f"attention_mask of row {row} ends with padding: pad on the left, text goes on at the right"
            )
        if generation_config.cache_implementation is not None:
            raise ValueError(
                f"cache_implementation must be None for {type(self).__name__}, which has a rolling cache of its own, "
                f"got {generation_config.cache_implementation!r}"
            )
        if generation_config.use_cache is not False and model_kwargs.get("past_key_values") is None:
            model_kwargs["past_key_values"] = self.new_cache()


def _check_cache(cache: object, windows: list[int], rows: int, segment_ids: Tensor | None) -> None:
    if not isinstance(cache, RollingCache):
        raise TypeError(
            f"past_key_values must be a cache of LongformerForCausalLM.new_cache, got {type(cache).__name__}"
        )
    if cache.windows != windows:
        raise ValueError(f"past_key_values is of the windows {cache.windows}, the model has {windows}: begin another")
    if cache.rows not in (None, rows):
        raise ValueError(f"past_key_values is of a batch of {cache.rows}, the input of {rows}")
    if segment_ids is not None:
        raise ValueError("segment_ids must be None with a cache: its tokens have none")
    if cache.get_seq_length() and torch.is_grad_enabled():
        raise ValueError("past_key_values has no gradients: call the model under torch.no_grad()")


def _new_columns(mask: Tensor | None, given: Tensor, past: int) -> Tensor | None:
    """The part of the mask (B, N) or (B, P + N) that is of the new tokens."""
    if mask is None:
        return None
    batch, length = given.shape[:2]
    if not isinstance(mask, Tensor) or mask.dim() != 2 or mask.shape not in ((batch, length), (batch, past + length)):
        shape = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        cached = f" or, with the tokens in the cache, {(batch, past + length)}" if past else ""
        raise ValueError(f"attention_mask must be of shape {(batch, length)}{cached}, got {shape}")
    mask = mask[:, -length:]
    if can_read_values(mask) and mask.all():
        return None
    return mask


def _next_tokens(labels: Tensor, segment_ids: Tensor | None) -> Tensor:
    """The target (B, N - 1) of each token but the last."""
    targets = labels[:, 1:]
    if segment_ids is None:
        return targets
    same = (segment_ids[:, 1:] == segment_ids[:, :-1]) & (segment_ids[:, 1:] >= 0)
    return targets.masked_fill(~same, IGNORED)
