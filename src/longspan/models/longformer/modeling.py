"""The Longformer encoder (Beltagy et al., arXiv 2004.05150), with the parameters and outputs of its checkpoints."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..checks import check_inputs, check_mask, check_rows
from ..layers import TransformerLayer, has_hooks, is_private
from ..loading import LongspanPreTrainedModel
from ..packing import find_packing
from ..segments import merge_padding, take_first
from .attention import BACKENDS, LongformerSelfAttention, Visibility
from .causal_attention import CausalSelfAttention, CausalVisibility
from .configuration import LongformerConfig
from .embeddings import LongformerEmbeddings
from .global_mask import merge_global
from .outputs import LongformerBaseModelOutput, LongformerBaseModelOutputWithPooling


class LongformerLayer(TransformerLayer):
    """One encoder layer: window and global attention, then feed-forward."""

    def __init__(self, config: LongformerConfig, layer: int) -> None:
        attention = CausalSelfAttention if config.causal else LongformerSelfAttention
        super().__init__(config, attention(config, layer))


class LongformerEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(LongformerLayer(config, i) for i in range(config.num_hidden_layers))
        self.gradient_checkpointing = False

    def forward(
        self,
        hidden_states: Tensor,
        visibility: Visibility | CausalVisibility,
        output_attentions: bool,
        output_hidden_states: bool,
        may_overwrite: bool = False,
    ) -> LongformerBaseModelOutput:
        """Hidden states (B, N, d) through all layers; with ``may_overwrite``, in inference, over each other."""
        # a list that is not asked for would keep the embeddings alive through all layers
        states, local_maps, global_maps = ([hidden_states] if output_hidden_states else []), [], []
        # two tensors serve all layers, which write over them in turn
        reuses = may_overwrite and not output_hidden_states
        spare = None
        for layer in self.layer:
            given = hidden_states
            hidden_states, local_map, global_map = layer(given, visibility, output_attentions, spare=spare)
            spare = given if reuses else None
            if output_hidden_states:
                states.append(hidden_states)
            if output_attentions:
                local_maps.append(local_map)
                global_maps.append(global_map)
        has_global = any(x is not None for x in global_maps)
        return LongformerBaseModelOutput(
            last_hidden_state=hidden_states,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(local_maps) if output_attentions else None,
            global_attentions=tuple(global_maps) if has_global else None,
        )


class LongformerPooler(nn.Module):
    """``tanh(W h)`` of each row's first valid token."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, hidden_states: Tensor, segment_ids: Tensor | None) -> Tensor:
        """(B, N, d) to (B, d)."""
        return self.activation(self.dense(take_first(hidden_states, segment_ids)))


class LongformerPreTrainedModel(LongspanPreTrainedModel):
    """Loading, saving and initialisation, as of every model of transformers."""

    config_class = LongformerConfig
    base_model_prefix = "longformer"
    attn_backends = tuple(BACKENDS)
    _no_split_modules: ClassVar[list[str]] = ["LongformerLayer", "LongformerEmbeddings"]
    # a constant in checkpoints of old versions of transformers, and the pooler, where a head has no use for it
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"embeddings\.position_ids$", r"(^|\.)pooler\."]
    config: LongformerConfig


class LongformerModel(LongformerPreTrainedModel):
    """Longformer without a task head.

    Args:
        config: the configuration.
        add_pooling_layer: whether ``pooler_output`` is computed.
    """

    def __init__(self, config: LongformerConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        if config.causal:
            raise ValueError("config.causal must be False but for LongformerForCausalLM, got True")
        self.embeddings = LongformerEmbeddings(config)
        self.encoder = LongformerEncoder(config)
        self.pooler = LongformerPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the word embeddings."""
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        segment_ids: Tensor | None = None,
    ) -> LongformerBaseModelOutputWithPooling | tuple[Any, ...]:
        """Hidden states of a batch of documents of any length; no padding to the window is needed or done.

        Args:
            input_ids: (B, N) ids, or give ``inputs_embeds``.
            attention_mask: (B, N), 0 padding, 1 local, 2 global; by default no padding.
            global_attention_mask: (B, N), 0 local, 1 global, or bool; a global token on padding is ignored. With a 2
                in ``attention_mask`` as well, the union of both.
            token_type_ids: (B, N), by default 0.
            position_ids: (B, N) rows of the position table, by default counted from the ids that are not padding.
            inputs_embeds: (B, N, d) in place of ``input_ids``.
            output_attentions: also return the attention maps, O(N * window) each.
            output_hidden_states: also return the hidden states of all layers.
            return_dict: False for a tuple.
            segment_ids: (B, N) integers: tokens see each other only when their ids are equal; negative is padding.
                Positions restart in each segment.

        Returns:
            :class:`LongformerBaseModelOutputWithPooling`, or the tuple of its fields that are not None, but for
            ``pooler_output``, which always has its place.

        Raises:
            ValueError, TypeError: naming the argument, what came and what is possible.
        """
        given = check_inputs(input_ids, inputs_embeds, self.config.hidden_size, self.config.vocab_size)
        check_mask("attention_mask", attention_mask, given, 2)
        check_mask("global_attention_mask", global_attention_mask, given, 1)
        if position_ids is not None and position_ids.dim() == 2 and position_ids.shape[0] == 1:
            position_ids = position_ids.expand(given.shape[0], -1)
        for name, x in (
            ("token_type_ids", token_type_ids),
            ("position_ids", position_ids),
            ("segment_ids", segment_ids),
        ):
            check_rows(name, x, given)
        config = self.config
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return_dict = config.return_dict if return_dict is None else return_dict

        if segment_ids is not None:
            segment_ids = segment_ids.to(torch.int64)
        visibility = Visibility(
            merge_padding(segment_ids, attention_mask), merge_global(attention_mask, global_attention_mask)
        )
        hidden_states = self.embeddings(input_ids, inputs_embeds, token_type_ids, position_ids, segment_ids)
        # attention maps are of the rows as they came, and so is what a hook sees; dense attention over one long row
        # would cost the square of the batch
        as_given = output_attentions or config._attn_implementation == "eager" or has_hooks(self.encoder)
        packing = None if as_given else find_packing(visibility.segment_ids)
        seen = visibility
        if packing is not None:
            hidden_states = packing.pack(hidden_states)
            marks = visibility.global_mask
            seen = Visibility(packing.segment_ids, None if marks is None else packing.pack(marks))
        outputs = self.encoder(
            hidden_states,
            seen,
            bool(output_attentions),
            bool(output_hidden_states),
            may_overwrite=is_private(self),
        )
        if packing is not None:
            packing.unpack_outputs(outputs)
        pooled = None if self.pooler is None else self.pooler(outputs.last_hidden_state, visibility.segment_ids)
        if not return_dict:
            return (outputs.last_hidden_state, pooled, *outputs.to_tuple()[1:])
        return LongformerBaseModelOutputWithPooling(pooler_output=pooled, **outputs)
