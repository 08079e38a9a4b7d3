"""What a converted checkpoint's directory holds besides the model."""

from __future__ import annotations

from typing import Any

from transformers import AutoTokenizer
from transformers.utils import cached_file

# a vocabulary is in one of these
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")


def read_tokenizer(name: str, max_length: int) -> Any:
    """The tokenizer of a checkpoint with its limit raised to ``max_length``; None where the checkpoint has none."""
    if not any(_has_file(name, file) for file in _VOCABULARIES):
        return None
    tokenizer = AutoTokenizer.from_pretrained(name)
    tokenizer.model_max_length = max_length
    if tokenizer.is_fast:
        # tokenizer.json can hold a limit of its own
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def _has_file(name: str, file: str) -> bool:
    return (
        cached_file(
            name,
            file,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        is not None
    )
