"""Reads the files of a byte-level BPE and says clearly what is wrong with them."""

import json
import os
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

Vocabulary = str | os.PathLike[str] | dict[str, int]
Merges = str | os.PathLike[str] | list[Any]


def one_of(name: str, file: Any, content: Any) -> Any:
    """Return the given one of ``<name>_file`` and ``<name>``; ValueError when both are given."""
    if file is not None and content is not None:
        raise ValueError(f"{name} and {name}_file are two names of one argument; give one of them")
    return content if file is None else file


def read_backend(tokenizer_file: Any, vocab: Any, merges: Any, origin: str = "") -> Tokenizer:
    """Build the Rust tokenizer from tokenizer.json or, without one, from vocabulary and merges.

    Args:
        tokenizer_file: path of a tokenizer.json, or None.
        vocab: path of a vocab.json or its content, or None.
        merges: path of a merges.txt or its content, or None.
        origin: the directory or hub id that the files come from, for messages.

    Raises:
        ValueError: a file is missing or unreadable, or is no byte-level BPE; the message names the argument.
    """
    if tokenizer_file is not None:
        _check_file("tokenizer_file", tokenizer_file)
        try:
            backend = Tokenizer.from_file(str(tokenizer_file))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the Rust side raises nothing narrower, and panics are not Exceptions
            raise ValueError(f"tokenizer_file={str(tokenizer_file)!r} is not a tokenizer.json: {error}") from error
        if not isinstance(backend.model, BPE):
            raise ValueError(
                f"tokenizer_file={str(tokenizer_file)!r} holds a {type(backend.model).__name__} model; "
                "LongformerTokenizer reads byte-level BPE, transformers.PreTrainedTokenizerFast reads any"
            )
        return backend
    for name, value in (("vocab_file", vocab), ("merges_file", merges)):
        if value is None:
            where = f" in {origin!r}" if origin else ""
            raise ValueError(f"{name} is missing{where}: give vocab_file and merges_file, or tokenizer_file")
    vocab, merges = _read_vocab(vocab), _read_merges(merges)
    for pair in merges:
        for token in (*pair, "".join(pair)):
            if token not in vocab:
                raise ValueError(f"merges_file: {token!r} of the merge {' '.join(pair)!r} is not in vocab_file")
    backend = Tokenizer(BPE(vocab=vocab, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _check_file(argument: str, path: Any) -> None:
    if not os.path.isfile(path):
        raise ValueError(f"{argument}={str(path)!r} is no file")


def _read_text(argument: str, path: Any) -> str:
    _check_file(argument, path)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{argument}={str(path)!r} is not UTF-8 text: {error}") from error


def _read_vocab(vocab: Any) -> dict[str, int]:
    source = "vocab_file"
    if isinstance(vocab, (str, os.PathLike)):
        source = f"vocab_file={str(vocab)!r}"
        try:
            vocab = json.loads(_read_text("vocab_file", vocab))
        except json.JSONDecodeError as error:
            raise ValueError(f"{source} is not JSON: {error}") from error
    if not isinstance(vocab, dict) or not vocab:
        raise ValueError(f"{source} must hold an object that maps tokens to ids, and at least one")
    ids = set(vocab.values())
    if not all(type(i) is int and i >= 0 for i in ids) or len(ids) != len(vocab):
        raise ValueError(f"{source} must give every token an id of its own, an integer from 0 on")
    return vocab


def _read_merges(merges: Any) -> list[tuple[str, str]]:
    source = "merges_file"
    if isinstance(merges, (str, os.PathLike)):
        source = f"merges_file={str(merges)!r}"
        lines = _read_text("merges_file", merges).replace("\r\n", "\n").split("\n")
        # "# #" is a merge; only the version line is a comment.
        merges = ["" if line.startswith("#version") else line for line in lines]
    pairs = []
    for number, merge in enumerate(merges, start=1):
        pair = merge.split(" ") if isinstance(merge, str) else list(merge)
        if pair == [""]:
            continue
        if len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
            raise ValueError(f"{source}, line {number}: a merge is two tokens with a space between, not {merge!r}")
        pairs.append((pair[0], pair[1]))
    return pairs


def byte_level(backend: Tokenizer) -> Any:
    """Return the ByteLevel step of the pre-tokenizer, to read or set; ValueError when there is none."""
    whole: Any = backend.pre_tokenizer
    steps = iter(whole) if type(whole) is pre_tokenizers.Sequence else [whole]
    for step in steps:
        if isinstance(step, pre_tokenizers.ByteLevel):
            return step
    raise ValueError(
        "tokenizer_file (or tokenizer_object) has no ByteLevel pre-tokenizer; LongformerTokenizer reads byte-level "
        "BPE, transformers.PreTrainedTokenizerFast reads any"
    )
