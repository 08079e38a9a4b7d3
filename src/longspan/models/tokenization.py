"""What the tokenizers of both families share: the model's length, readable text, padding of the global mask."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from transformers import BatchEncoding, PreTrainedTokenizerFast

from longspan.models.tokenizer_files import longest_input, note_other_length, read_json_file

_SURROGATE = re.compile("[\ud800-\udfff]")
_GLOBAL_MASK = "global_attention_mask"


def replace_surrogates(text: Any) -> Any:
    """Return ``text`` (a string, or nested lists and tuples of strings) with each surrogate read as U+FFFD.

    A surrogate has no UTF-8 form, so no byte-level tokenizer can read it. One code point takes the place of one, so
    offsets into the text stay right.
    """
    if isinstance(text, str):
        return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
    if isinstance(text, (list, tuple)):
        parts = [replace_surrogates(part) for part in text]
        return tuple(parts) if isinstance(text, tuple) else parts
    return text


class LongDocumentTokenizer(PreTrainedTokenizerFast):
    """A ``PreTrainedTokenizerFast`` that knows its model's length and pads ``global_attention_mask``.

    Subclasses name the family: ``model_type`` and ``default_positions`` as in config.json, and ``known_as``, the
    names that ``tokenizer_class`` may have in the files of a checkpoint which they read.
    """

    model_type: str
    default_positions: int
    known_as: frozenset[str]

    @classmethod
    def reserved_positions(cls, config: dict[str, Any]) -> int:
        """Return how many rows of the position table no token uses."""
        return 0

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *init_inputs: Any, **kwargs: Any) -> Any:
        """Load a tokenizer from a directory, a hub id or one tokenizer.json.

        ``model_max_length`` is, in this order: the keyword given here; what the model of config.json can read; what
        tokenizer_config.json says; no limit. Through ``AutoTokenizer``, a checkpoint whose files name the tokenizer of
        another family (``BertTokenizer``, say) gets that one.

        Raises:
            ValueError: a file is missing or unreadable; the message names it.
        """
        name = str(pretrained_model_name_or_path)
        single_file = os.path.isfile(name)
        config = {} if single_file else read_json_file(name, "config.json", kwargs)
        saved = {} if single_file else read_json_file(name, "tokenizer_config.json", kwargs)
        if config.get("model_type") == cls.model_type and "model_max_length" not in kwargs:
            limit = longest_input(config, cls.default_positions, cls.reserved_positions(config))
            if limit is not None:
                kwargs["model_max_length"] = limit
                length = saved.get("model_max_length")
                # transformers writes 1e30 for "not set": nothing to report.
                if isinstance(length, (int, float)) and length != limit and length < 1e20:
                    note_other_length(name, int(length), limit)
        if kwargs.get("_from_auto"):
            declared = saved.get("tokenizer_class") or config.get("tokenizer_class")
            if declared is not None and declared not in cls.known_as:
                return _class_named(declared).from_pretrained(pretrained_model_name_or_path, *init_inputs, **kwargs)
        try:
            return super().from_pretrained(pretrained_model_name_or_path, *init_inputs, **kwargs)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"tokenizer_file: tokenizer.json, special_tokens_map.json or added_tokens.json of {name!r} is not "
                f"JSON: {error}"
            ) from error

    def _encode_plus(self, text: Any, text_pair: Any = None, **kwargs: Any) -> BatchEncoding:
        # Every public way to encode ends here: __call__, encode, tokenize.
        self._check_truncation(text, text_pair, kwargs)
        try:
            return super()._encode_plus(
                text=replace_surrogates(text), text_pair=replace_surrogates(text_pair), **kwargs
            )
        except BaseException as error:
            # The Rust side reports both as what no caller expects: a panic (not an Exception) and a bare Exception.
            if type(error).__name__ == "PanicException" and "stride" in str(error):
                raise ValueError(
                    f"stride={kwargs.get('stride')} is not smaller than the room that max_length="
                    f"{kwargs.get('max_length')} leaves for the truncated text"
                ) from error
            if type(error) is Exception and str(error).startswith("Truncation error"):
                raise ValueError(
                    f"truncation={kwargs['truncation_strategy'].value!r} cannot reach max_length="
                    f"{kwargs.get('max_length')}: the text that may be truncated is too short"
                ) from error
            raise

    def _check_truncation(self, text: Any, text_pair: Any, kwargs: dict[str, Any]) -> None:
        """Raise ValueError for a stride or max_length under which no window of text can move forward."""
        strategy, max_length = kwargs.get("truncation_strategy"), kwargs.get("max_length")
        stride = kwargs.get("stride", 0)
        if stride < 0:
            raise ValueError(f"stride={stride} is negative; it counts the tokens that neighbouring windows share")
        if strategy is None or strategy.value == "do_not_truncate" or max_length is None:
            return
        batch_of_pairs = (
            not kwargs.get("is_split_into_words")
            and isinstance(text, (list, tuple))
            and len(text) > 0
            and isinstance(text[0], (list, tuple))
        )
        special = 0
        if kwargs.get("add_special_tokens", True):
            special = self.num_special_tokens_to_add(pair=bool(text_pair) or batch_of_pairs)
        room = max_length - special
        if room < 0:
            raise ValueError(f"max_length={max_length} leaves no room for the {special} special tokens")
        if stride and stride >= room:
            raise ValueError(
                f"stride={stride} must be smaller than {room}, the room that max_length={max_length} leaves beside "
                f"{special} special tokens"
            )

    def pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> BatchEncoding:
        """Pad as every tokenizer does, and ``global_attention_mask`` with 0.

        Raises:
            ValueError: only some of the examples have a ``global_attention_mask``, or one is not as long as its ids.
        """
        if isinstance(encoded_inputs, (list, tuple)) and all(isinstance(row, Mapping) for row in encoded_inputs):
            having = sum(_GLOBAL_MASK in row for row in encoded_inputs)
            if 0 < having < len(encoded_inputs):
                raise ValueError(
                    f"{_GLOBAL_MASK} is given for {having} of {len(encoded_inputs)} examples; give it for all or none"
                )
        return super().pad(encoded_inputs, *args, **kwargs)

    def _pad(self, encoded_inputs: Any, *args: Any, padding_side: str | None = None, **kwargs: Any) -> dict[str, Any]:
        # One example, all its values lists. The padded ids tell how much the mask lacks.
        mask = encoded_inputs.get(_GLOBAL_MASK)
        length = len(encoded_inputs[self.model_input_names[0]])
        if mask is not None and len(mask) != length:
            raise ValueError(f"{_GLOBAL_MASK} has {len(mask)} values for {length} tokens")
        padded = super()._pad(encoded_inputs, *args, padding_side=padding_side, **kwargs)
        if mask is not None:
            zeros = [0] * (len(padded[self.model_input_names[0]]) - length)
            left = (padding_side or self.padding_side) == "left"
            padded[_GLOBAL_MASK] = [*zeros, *mask] if left else [*mask, *zeros]
        return padded


def _class_named(name: str) -> Any:
    """Return the tokenizer class of that name as ``AutoTokenizer`` finds it, the generic one when there is none."""
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    return tokenizer_class_from_name(name) or PreTrainedTokenizerFast
