"""What the task heads of Longformer share: a backbone, and the default global mask of a task."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from ..checks import can_read_values, check_inputs, check_mask, check_rows
from ..heads import TaskModel
from ..segments import merge_padding
from .global_mask import Default, default_unless_merged
from .modeling import LongformerPreTrainedModel

logger = logging.getLogger("longspan.longformer")
_noted: set[str] = set()


class LongformerTask(TaskModel, LongformerPreTrainedModel):
    """A backbone and the default global mask of a task."""

    def _inputs(self, default: Default | None, segment_ids: Tensor | None, **inputs: Any) -> dict[str, Any]:
        """The backbone's arguments, with the task's default global mask where the caller gave none."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        given = check_inputs(ids, inputs["inputs_embeds"], self.config.hidden_size, self.config.vocab_size)
        check_mask("attention_mask", mask, given, 2)
        check_rows("segment_ids", segment_ids, given)
        if default is not None and inputs["global_attention_mask"] is None:
            if ids is None and default != "first":
                if not _holds_global(mask):
                    _note_once(
                        f"{type(self).__name__} cannot find separators in inputs_embeds: no token is global. "
                        "Pass global_attention_mask to choose them."
                    )
            else:
                inputs["global_attention_mask"] = default_unless_merged(
                    default,
                    mask,
                    merge_padding(segment_ids, mask),
                    ids,
                    self.config.sep_token_id,
                    (given.shape[0], given.shape[1]),
                    given.device,
                )
        return {**inputs, "segment_ids": segment_ids}


def _holds_global(attention_mask: Tensor | None) -> bool:
    return attention_mask is not None and can_read_values(attention_mask) and bool((attention_mask == 2).any())


def _note_once(message: str) -> None:
    if message not in _noted and not torch.compiler.is_compiling():
        _noted.add(message)
        logger.warning(message)
