"""The Nyströmformer encoder."""

from __future__ import annotations

import functools
import logging
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from ..checks import check_inputs, check_mask, check_rows
from ..layers import TransformerLayer, has_hooks, is_private
from ..loading import LongspanPreTrainedModel
from ..packing import find_packing
from ..segments import merge_padding
from .attention import BACKENDS, NystromformerSelfAttention, Visibility
from .configuration import NystromformerConfig
from .embeddings import NystromformerEmbeddings

_logger = logging.getLogger("longspan.nystromformer")


class NystromformerPreTrainedModel(LongspanPreTrainedModel):
    """Base class of the Nyströmformer models: loading, saving, initialisation."""

    config_class = NystromformerConfig
    config: NystromformerConfig
    base_model_prefix = "nystromformer"
    attn_backends = tuple(BACKENDS)
    _no_split_modules: ClassVar[list[str]] = ["NystromformerLayer", "NystromformerEmbeddings"]
    # constants in checkpoints of old versions of transformers
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"embeddings\.(position_ids|token_type_ids)$"]


class NystromformerLayer(TransformerLayer):
    """One encoder layer: Nyström attention, then feed-forward."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config, NystromformerSelfAttention(config))


class NystromformerEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(NystromformerLayer(config) for _ in range(config.num_hidden_layers))

    def forward(
        self,
        hidden_states: Tensor,
        visibility: Visibility,
        output_attentions: bool,
        output_hidden_states: bool,
        may_overwrite: bool = False,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Hidden states (B, N, d) through all layers; with ``may_overwrite``, in inference, over each other."""
        states, maps = ([hidden_states] if output_hidden_states else []), []
        # two tensors serve all layers, which write over them in turn
        reuses = may_overwrite and not output_hidden_states
        spare = None
        for layer in self.layer:
            given = hidden_states
            hidden_states, attention = layer(given, visibility, output_attentions, spare=spare)
            spare = given if reuses else None
            if output_hidden_states:
                states.append(hidden_states)
            maps.append(attention)
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=hidden_states,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(maps) if output_attentions else None,
        )


class NystromformerModel(NystromformerPreTrainedModel):
    """Nyströmformer without a head (Xiong et al., arXiv 2102.03902)."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        if config.attention_type is None and config.uses_softmax:
            _say_softmax(config.num_landmarks)
        self.embeddings = NystromformerEmbeddings(config)
        self.encoder = NystromformerEncoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        segment_ids: Tensor | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions | tuple[Any, ...]:
        """Encode a batch of documents of any lengths.

        Args:
            input_ids: (B, N) token ids; or give ``inputs_embeds``.
            attention_mask: (B, N), 0 at padding and 1 elsewhere; padding may stand on any side.
            token_type_ids: (B, N); 0 everywhere by default.
            position_ids: (B, N) rows of the position table; by default the distance to the document's first valid
                token, + 2.
            inputs_embeds: (B, N, d) instead of ``input_ids``.
            output_attentions: return each layer's attention: a
                :class:`~longspan.ops.nystrom.NystromFactors` (three matrices whose product is the N x N map, which
                ``to_dense()`` multiplies out), or the map (B, H, N, N) itself where the attention is softmax.
            output_hidden_states: return the embeddings and the output of each layer, (B, N, d) each.
            return_dict: False for a tuple.
            segment_ids: (B, N) integers; tokens of a row with equal ids are one document, a negative id is padding.
                Positions restart in each document, and no document sees another.

        Raises:
            TypeError, ValueError: naming the argument, what came and what is possible.
        """
        config = self.config
        given = check_inputs(input_ids, inputs_embeds, config.hidden_size, config.vocab_size)
        check_mask("attention_mask", attention_mask, given, 1)
        if position_ids is not None and position_ids.shape[0] == 1:
            position_ids = position_ids.expand(given.shape[0], -1)
        for name, rows in (
            ("token_type_ids", token_type_ids),
            ("position_ids", position_ids),
            ("segment_ids", segment_ids),
        ):
            check_rows(name, rows, given)
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return_dict = config.return_dict if return_dict is None else return_dict

        ids = merge_padding(segment_ids, attention_mask)
        # without segments each row is one document, which a bool mask says
        segments = ids if segment_ids is not None or ids is None else ids >= 0
        hidden_states = self.embeddings(input_ids, inputs_embeds, token_type_ids, position_ids, segments)
        visibility = Visibility(segments, ids)
        # attention maps are of the rows as they came, and so is what a hook sees; dense attention over one long row
        # would cost the square of the batch
        as_given = output_attentions or config._attn_implementation == "eager" or has_hooks(self.encoder)
        packing = None if as_given else find_packing(ids)
        if packing is not None:
            hidden_states = packing.pack(hidden_states)
            visibility = Visibility(packing.segment_ids, packing.segment_ids)
        outputs = self.encoder(
            hidden_states,
            visibility,
            bool(output_attentions),
            bool(output_hidden_states),
            may_overwrite=is_private(self),
        )
        if packing is not None:
            packing.unpack_outputs(outputs)
        return outputs if return_dict else outputs.to_tuple()


@functools.cache
def _say_softmax(num_landmarks: int) -> None:
    _logger.warning(
        "num_landmarks and segment_means_seq_len are both %d, which means exact softmax attention: cost grows with the "
        "square of the length. Set attention_type to 'nystrom' for Nyström attention, or to 'softmax' to confirm",
        num_landmarks,
    )
