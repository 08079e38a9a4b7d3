"""Makes a Longformer or Nyströmformer of a checkpoint of a short encoder, or a longer Longformer of a Longformer."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...atomic import check_free, write_new_folder
from ..longformer.configuration import LongformerConfig
from ..nystromformer.configuration import NystromformerConfig
from ..quiet import quiet_transformers
from .files import read_tokenizer
from .source import Source, check_fields, read_fields, read_source
from .target import longformer_config, make_model, nystromformer_config

logger = logging.getLogger("longspan.conversion")

FAMILIES = ("longformer", "nystromformer")
WINDOW = 512
LANDMARKS = 64
# tokens of the document on which both models are compared
_COMPARED = 64


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source: directory or hub id of the checkpoint that was read.
        out: directory of the one that was written.
        source_class: the class that the source was saved by.
        model_class: the class that was saved.
        source_length, max_length: the longest input before and after, in tokens.
        tokenizer_class: of the tokenizer that was saved, or None where the source has none.
        dropped: names of the source's weights that the new model has no place for.
        compared_tokens: length of the document on which both models were run.
        difference: largest difference between their last hidden states there, in float32.
    """

    source: str
    out: str
    source_class: str
    model_class: str
    source_length: int
    max_length: int
    tokenizer_class: str | None
    dropped: tuple[str, ...]
    compared_tokens: int
    difference: float


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    to: str = "longformer",
    *,
    max_length: int,
    window: int | None = None,
    num_landmarks: int | None = None,
) -> Conversion:
    """Make a long model of a RoBERTa, XLM-R, CamemBERT, BERT or ELECTRA checkpoint, or lengthen a Longformer.

    Position rows repeat those of the source, global projections start equal to the local ones, Nyströmformer's
    convolution starts at 0; everything else is copied (Longformer, arXiv 2004.05150, section 5). A converted Longformer
    computes what its source does on documents no longer than half the window, its head included; a Nyströmformer on
    documents of at most ``num_landmarks`` tokens. ``out`` is written whole or not at all.

    Args:
        source: directory or hub id of the checkpoint.
        out: directory to write, which must not exist yet.
        to: "longformer" or "nystromformer".
        max_length: longest input of the new model, in tokens.
        window: window of the Longformer's layers, w // 2 tokens on each side; by default 512, or that of the source
            where it is a Longformer.
        num_landmarks: landmarks of the Nyströmformer, by default 64.

    Returns:
        What was done, with the weights that have no place in the new model, which are also logged.

    Raises:
        ValueError: the source cannot be converted, with the reason; an argument does not fit.
        FileExistsError: ``out`` exists.
        OSError: the source is not there, or lacks a file.
    """
    name, target = os.fspath(source), Path(out)
    check_free(target)
    if to not in FAMILIES:
        raise ValueError(f"to must be one of {', '.join(map(repr, FAMILIES))}, got {to!r}")
    if window is not None and to != "longformer":
        raise ValueError("window is of Longformers; a Nyströmformer has num_landmarks")
    if num_landmarks is not None and to != "nystromformer":
        raise ValueError("num_landmarks is of Nyströmformers; a Longformer has window")
    if num_landmarks is not None and num_landmarks < 1:
        raise ValueError(f"num_landmarks must be at least 1, got {num_landmarks}")
    fields = read_fields(name)
    check_fields(name, fields, to)
    found = read_source(name, fields)
    if max_length < found.positions:
        raise ValueError(
            f"max_length must be at least {found.positions}, which {name!r} reads already, got {max_length}"
        )
    tokenizer = read_tokenizer(name, max_length)

    config: LongformerConfig | NystromformerConfig
    if to == "longformer":
        known = getattr(found.config, "attention_window", WINDOW)
        config = longformer_config(found, max_length, known if window is None else window, _separator(found, tokenizer))
    else:
        config = nystromformer_config(found, max_length, LANDMARKS if num_landmarks is None else num_landmarks)
    config.check()
    model, dropped = make_model(found, config)
    tokens, difference = _compare(found, model, config)
    if dropped:
        logger.warning(
            "%s: %s has no place for %d weights of %s, which are not carried over: %s",
            name, type(model).__name__, len(dropped), found.architecture, ", ".join(dropped),
        )  # fmt: skip
    with write_new_folder(target) as aside, quiet_transformers():
        model.to(found.dtype).save_pretrained(aside)
        if tokenizer is not None:
            tokenizer.save_pretrained(aside)
    return Conversion(
        source=name,
        out=str(target),
        source_class=found.architecture,
        model_class=type(model).__name__,
        source_length=found.positions,
        max_length=max_length,
        tokenizer_class=None if tokenizer is None else type(tokenizer).__name__,
        dropped=tuple(dropped),
        compared_tokens=tokens,
        difference=difference,
    )


def _separator(source: Source, tokenizer: Any) -> int | None:
    """The id of the token that ends a question."""
    config = source.config
    given = (getattr(tokenizer, "sep_token_id", None), getattr(config, "sep_token_id", None), config.eos_token_id)
    return next((token for token in given if isinstance(token, int)), None)


@torch.no_grad()
def _compare(source: Source, model: Any, config: LongformerConfig | NystromformerConfig) -> tuple[int, float]:
    """Length of a random document that both read exactly, and the largest difference of their hidden states."""
    if isinstance(config, LongformerConfig):
        reach = min(min(config.windows, default=0), min(getattr(source.config, "windows", config.windows), default=0))
        length = reach // 2
    else:
        length = config.num_landmarks
    length = max(min(length, source.positions, _COMPARED), 1)
    ids = torch.randint(config.vocab_size, (1, length), generator=torch.Generator().manual_seed(0))
    padding = config.pad_token_id
    if padding is not None:
        ids[ids == padding] = (padding + 1) % config.vocab_size
    wanted = source.encoder(input_ids=ids).last_hidden_state
    actual = model.base_model(input_ids=ids).last_hidden_state
    return length, float((wanted - actual).abs().max())
