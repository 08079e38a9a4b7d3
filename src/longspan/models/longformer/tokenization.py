"""Longformer's tokenizer: RoBERTa's byte-level BPE, ``<s> A </s></s> B </s>``."""

import os
from typing import Any, ClassVar

from tokenizers import AddedToken, Tokenizer, processors
from tokenizers.models import BPE

from longspan.models.longformer.vocabulary import Merges, Vocabulary, byte_level, one_of, read_backend
from longspan.models.tokenization import LongDocumentTokenizer


class LongformerTokenizer(LongDocumentTokenizer):
    """The tokenizer of Longformer checkpoints, on the ``tokenizers`` library.

    Ids, offsets (code points of the text), pairs, truncation, overflow and decoding are those of RoBERTa. ``<mask>``
    takes the space before it. A surrogate code point is read as U+FFFD.

    Args:
        vocab_file: vocab.json, or its content: token to id.
        merges_file: merges.txt, or its content: pairs, or strings of two tokens with a space between.
        tokenizer_file: tokenizer.json; taken as it is, and before the two others.
        errors: only "replace": bytes that are no UTF-8 are decoded as U+FFFD.
        bos_token: as ``cls_token``; RoBERTa has one token for both.
        eos_token: as ``sep_token``.
        sep_token: ends a text and, twice, parts two of them.
        cls_token: begins an input.
        unk_token: for ids without a token.
        pad_token: pads a batch.
        mask_token: for masked language modelling. A string takes the space before it; give an ``AddedToken`` to
            choose otherwise.
        add_prefix_space: read the text as if a space stood before it. Default: what tokenizer.json says, else False.
        trim_offsets: leave the space before a word out of its offsets. Default: what tokenizer.json says, else True.
        vocab: another name of ``vocab_file``.
        merges: another name of ``merges_file``.
        tokenizer_object: a byte-level BPE ``tokenizers.Tokenizer`` instead of files.
        **kwargs: those of ``PreTrainedTokenizerFast``, such as ``model_max_length`` or ``padding_side``.

    Raises:
        ValueError: a file or vocabulary is missing or unreadable, or is no byte-level BPE; the message names it.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "vocab.json",
        "merges_file": "merges.txt",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]
    model = BPE
    model_type = "longformer"
    default_positions = 512
    known_as = frozenset({"LongformerTokenizer", "LongformerTokenizerFast", "RobertaTokenizer", "RobertaTokenizerFast"})

    def __init__(
        self,
        vocab_file: Vocabulary | None = None,
        merges_file: Merges | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        errors: str = "replace",
        bos_token: str | AddedToken = "<s>",
        eos_token: str | AddedToken = "</s>",
        sep_token: str | AddedToken = "</s>",
        cls_token: str | AddedToken = "<s>",
        unk_token: str | AddedToken = "<unk>",
        pad_token: str | AddedToken = "<pad>",
        mask_token: str | AddedToken = "<mask>",
        add_prefix_space: bool | None = None,
        trim_offsets: bool | None = None,
        *,
        vocab: Vocabulary | None = None,
        merges: Merges | None = None,
        tokenizer_object: Tokenizer | None = None,
        **kwargs: Any,
    ) -> None:
        if errors != "replace":
            raise ValueError(f"errors={errors!r} is not possible; bytes that are no UTF-8 are always decoded 'replace'")
        backend = tokenizer_object
        if backend is None:
            backend = read_backend(
                tokenizer_file, one_of("vocab", vocab_file, vocab), one_of("merges", merges_file, merges)
            )
        step = byte_level(backend)
        if add_prefix_space is None:
            add_prefix_space = step.add_prefix_space
        step.add_prefix_space = add_prefix_space
        if trim_offsets is None:
            trim_offsets = getattr(backend.post_processor, "trim_offsets", True)
        if isinstance(mask_token, str):
            mask_token = AddedToken(mask_token, lstrip=True, normalized=False, special=True)
        self._tokenizer = backend
        self.trim_offsets = trim_offsets
        super().__init__(
            errors=errors,
            bos_token=bos_token,
            eos_token=eos_token,
            sep_token=sep_token,
            cls_token=cls_token,
            unk_token=unk_token,
            pad_token=pad_token,
            mask_token=mask_token,
            add_prefix_space=add_prefix_space,
            trim_offsets=trim_offsets,
            **kwargs,
        )
        # Again, since a tokenizer.json may hold <mask> without lstrip: transformers 5 writes it so.
        self._tokenizer.add_special_tokens([mask_token])
        self.update_post_processor()

    @classmethod
    def reserved_positions(cls, config: dict[str, Any]) -> int:
        """Return pad_token_id + 1: positions count from the row after the padding's."""
        pad = config.get("pad_token_id")
        return 1 + (1 if pad is None else int(pad))

    @classmethod
    def convert_to_native_format(cls, **kwargs: Any) -> dict[str, Any]:
        """Read the files that ``from_pretrained`` found; called by it with the arguments of ``__init__``."""
        kwargs.pop("trust_remote_code", None)
        if kwargs.get("tokenizer_object") is None:
            kwargs["tokenizer_object"] = read_backend(
                kwargs.get("tokenizer_file"),
                one_of("vocab", kwargs.get("vocab_file"), kwargs.pop("vocab", None)),
                one_of("merges", kwargs.get("merges_file"), kwargs.pop("merges", None)),
                kwargs.get("name_or_path", ""),
            )
        for name in cls.vocab_files_names:
            kwargs.pop(name, None)
        if kwargs.get("mask_token") is not None:
            kwargs["mask_token"] = str(kwargs["mask_token"])
        return kwargs

    def update_post_processor(self) -> None:
        """Write special tokens as RoBERTa does, with the tokens that are now ``cls_token`` and ``sep_token``."""
        self._tokenizer.post_processor = processors.RobertaProcessing(
            (str(self.sep_token), self.sep_token_id),
            (str(self.cls_token), self.cls_token_id),
            trim_offsets=self.trim_offsets,
            add_prefix_space=byte_level(self._tokenizer).add_prefix_space,
        )

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return ``<s> A </s>`` or, for a pair, ``<s> A </s></s> B </s>``, as ids."""
        first = [self.cls_token_id, *token_ids_0, self.sep_token_id]
        return first if token_ids_1 is None else [*first, self.sep_token_id, *token_ids_1, self.sep_token_id]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return zeros for the input that ``build_inputs_with_special_tokens`` builds: Longformer has one type."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """Return 1 for special tokens and 0 for others, in the input built from the ids or, as it is, in the ids.

        Raises:
            ValueError: ``already_has_special_tokens`` and a second sequence are given.
        """
        if already_has_special_tokens:
            return super().get_special_tokens_mask(token_ids_0, token_ids_1, already_has_special_tokens=True)
        first = [1, *[0] * len(token_ids_0), 1]
        return first if token_ids_1 is None else [*first, 1, *[0] * len(token_ids_1), 1]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.json and merges.txt (added tokens not included) and return their paths.

        Raises:
            ValueError: ``save_directory`` is no directory.
        """
        if not os.path.isdir(save_directory):
            raise ValueError(f"save_directory={save_directory!r} is no directory")
        return tuple(self._tokenizer.model.save(str(save_directory), filename_prefix))


# transformers 5 has one class for both names; saved checkpoints and documentation have both.
LongformerTokenizerFast = LongformerTokenizer
