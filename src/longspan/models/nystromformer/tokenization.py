"""The tokenizer of Nyströmformer checkpoints: ALBERT's SentencePiece model, or any tokenizer.json."""

import os
import shutil
from typing import Any, ClassVar

from tokenizers import Tokenizer
from tokenizers.models import Unigram
from transformers import AlbertTokenizer

from longspan.models.tokenization import LongDocumentTokenizer

# What the pieces of ALBERT's vocabulary are for.
_ALBERT_TOKENS = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


class NystromformerTokenizer(LongDocumentTokenizer):
    """The tokenizer of a Nyströmformer checkpoint; load it with ``from_pretrained`` or ``AutoTokenizer``.

    A tokenizer.json is taken as it is. Without one, spiece.model (ALBERT's layout) is read, which needs the extra
    ``longspan[sentencepiece]``; ``do_lower_case`` (True) and ``keep_accents`` (False) are keywords then. Punctuation
    that the SentencePiece model keeps apart, such as "(" and ".", stays ordinary text: it is neither special nor
    skipped in decoding, and pieces are those of the ``sentencepiece`` library.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": "spiece.model", "tokenizer_file": "tokenizer.json"}
    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]
    model_type = "nystromformer"
    default_positions = 510
    known_as = frozenset(
        {
            "AlbertTokenizer",
            "AlbertTokenizerFast",
            "NystromformerTokenizer",
            "NystromformerTokenizerFast",
            "PreTrainedTokenizerFast",
            "TokenizersBackend",
        }
    )

    @classmethod
    def convert_to_native_format(cls, **kwargs: Any) -> dict[str, Any]:
        """Read the files that ``from_pretrained`` found; called by it with the arguments of ``__init__``.

        Raises:
            ImportError: there is only a spiece.model and ``sentencepiece`` is not installed.
            ValueError: there is no file, or it is not a SentencePiece model in ALBERT's layout.
        """
        kwargs.pop("trust_remote_code", None)
        if kwargs.get("tokenizer_object") is not None or kwargs.get("tokenizer_file") is not None:
            known = {str(token) for token in kwargs.get("added_tokens_decoder", {}).values()}
        elif kwargs.get("vocab_file") is not None:
            lower, accents = kwargs.get("do_lower_case", True), kwargs.get("keep_accents", False)
            kwargs["tokenizer_object"] = _read_sentencepiece(kwargs["vocab_file"], lower, accents)
            known = set(_ALBERT_TOKENS.values())
        else:
            raise ValueError(
                f"tokenizer_file and vocab_file are missing: {kwargs.get('name_or_path', '')!r} has no tokenizer.json "
                "and no spiece.model"
            )
        for name, token in _ALBERT_TOKENS.items():
            if token in known:
                kwargs.setdefault(name, token)
        return kwargs

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Copy the spiece.model that this tokenizer was read from and return its path.

        Raises:
            ValueError: ``save_directory`` is no directory, or the tokenizer was not read from a spiece.model.
        """
        if not os.path.isdir(save_directory):
            raise ValueError(f"save_directory={save_directory!r} is no directory")
        source = getattr(self, "vocab_file", None)
        if source is None or not os.path.isfile(source):
            raise ValueError(
                "vocab_file: this tokenizer was not read from a spiece.model; save_pretrained writes tokenizer.json"
            )
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        target = os.path.join(save_directory, f"{prefix}spiece.model")
        if os.path.abspath(source) != os.path.abspath(target):
            shutil.copyfile(source, target)
        return (target,)


def _read_sentencepiece(path: str, do_lower_case: bool, keep_accents: bool) -> Tokenizer:
    try:
        import google.protobuf
        import sentencepiece  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{path} is a SentencePiece model, and reading it needs an optional package: "
            "pip install longspan[sentencepiece]"
        ) from error
    from transformers.convert_slow_tokenizer import SentencePieceExtractor

    try:
        content = SentencePieceExtractor(path).extract(Unigram)
    except google.protobuf.message.DecodeError as error:
        raise ValueError(f"vocab_file={path!r} is not a SentencePiece model: {error}") from error
    missing = set(_ALBERT_TOKENS.values()) - {piece for piece, _ in content["vocab"]}
    if missing or content["unk_id"] != 1:
        raise ValueError(
            f"vocab_file={path!r} is not in ALBERT's layout (<unk> has id 1): it has no piece {sorted(missing)}"
        )
    # Only the backend is used. As the extractor hands them over, punctuation with pieces of its own would become
    # special tokens, which split the text before SentencePiece's rules apply and vanish in decoding.
    return AlbertTokenizer(
        vocab=content["vocab"],
        do_lower_case=do_lower_case,
        keep_accents=keep_accents,
        _spm_precompiled_charsmap=content["_spm_precompiled_charsmap"],
    ).backend_tokenizer
