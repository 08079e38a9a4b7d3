"""Masked language modelling: texts in, windows or blocks of tokens out, perplexity as the score."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longspan.tasks.examples import BadRow, TextExample
from longspan.tasks.frame import frame_for
from longspan.tasks.logits import NO_TARGET
from longspan.tasks.masking import masking_for
from longspan.tasks.padding import mask_padding, pad_rows
from longspan.tasks.task import Encoding, Features, Prediction, Task
from longspan.tasks.texts import read_texts

if TYPE_CHECKING:
    from torch import Tensor

_NO_WORD = -1

_COUNTED = ("nats", "targets", "tokens", "characters", "bytes")


class MaskedLanguage(Task[TextExample]):
    """Predict masked tokens, by RoBERTa's recipe (see :mod:`longspan.tasks.masking`).

    In training the masks of a row follow from (seed, epoch, row): new ones each epoch, and the same again in a run that
    was resumed. Elsewhere they follow from the row's tokens, so that two evaluations of a text agree.

    Args:
        whole_words: choose words instead of tokens. Words are those of the tokenizer's own first step: GPT-2's pattern
            for byte-level BPE (letters, digits and punctuation apart), white space and punctuation for WordPiece, white
            space for SentencePiece.
        blocks: in training, join texts, a separator between them, and cut them into rows of ``max_length`` tokens
            (RoBERTa's FULL-SENTENCES). Otherwise each text is a row, or several where it is longer. Evaluation always
            takes each text by itself.
        seed: of the masks in training.
    """

    name: ClassVar[str] = "mlm"
    head: ClassVar[str] = "ForMaskedLM"
    metric = "perplexity"
    greater_is_better = False

    def __init__(self, whole_words: bool = False, blocks: bool = False, seed: int = 0) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.whole_words = whole_words
        self.blocks = blocks
        self.seed = seed

    def options(self) -> dict[str, Any]:
        """As given."""
        return {"whole_words": self.whole_words, "blocks": self.blocks, "seed": self.seed}

    def read(self, path: str, layout: str | None = None) -> Iterator[TextExample | BadRow]:
        """The texts of plain text files, or of the column ``text`` of a table; see :mod:`longspan.tasks.texts`."""
        return read_texts(path, layout)

    def encode(self, example: TextExample, encoding: Encoding, training: bool) -> list[Features] | BadRow:
        """Windows that follow each other without sharing a token, so that each is predicted once a round.

        A text without a token gives none in training, and one of special tokens alone elsewhere. For blocks, a text
        stays as it is, without special tokens: :meth:`join` cuts it.
        """
        before, after, room = frame_for(encoding)
        tokens = encoding.tokenizer(example.text, add_special_tokens=False, truncation=False, verbose=False)
        ids = tokens["input_ids"]
        words = [_NO_WORD if word is None else word for word in tokens.word_ids()] if self.whole_words else None
        if training and not ids:
            return []
        if training and self.blocks:
            return [{"input_ids": ids} if words is None else {"input_ids": ids, "words": words}]
        step = room or max(len(ids), 1)
        return [_window(ids, words, i, i + step, before, after) for i in range(0, max(len(ids), 1), step)]

    def join(self, features: Iterable[Features], encoding: Encoding) -> Iterable[Features]:
        """Blocks of ``max_length`` tokens, the last one shorter; without ``blocks``, the windows themselves.

        Raises:
            ValueError: for blocks, ``max_length`` is None.
        """
        if not self.blocks:
            return features
        if encoding.max_length is None:
            raise ValueError("max_length must say how long the blocks are; the model reads texts of any length")
        return self._cut_blocks(features, encoding)

    def _cut_blocks(self, features: Iterable[Features], encoding: Encoding) -> Iterator[Features]:
        before, after, room = frame_for(encoding)
        assert room is not None
        separator = after[:1]
        ids: list[int] = []
        words: list[int] | None = [] if self.whole_words else None
        for text in features:
            if ids:
                ids += separator
            ids += text["input_ids"]
            if words is not None:
                words += [_NO_WORD] * (len(ids) - len(words) - len(text["words"]))
                words += text["words"]
            end = len(ids) - len(ids) % room
            for i in range(0, end, room):
                yield _window(ids, words, i, i + room, before, after)
            del ids[:end]
            if words is not None:
                del words[:end]
        if ids:
            yield _window(ids, words, 0, room, before, after)

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        """``input_ids`` with masks, ``attention_mask`` and ``labels``, each (B, N) int64.

        ``logits_to_keep`` (B, N) bool is where something is to be predicted: the model scores nothing else.
        """
        masking = masking_for(encoding.tokenizer)
        seen, labels = [], []
        for window in features:
            ids = np.asarray(window["input_ids"], dtype=np.int64)
            words = np.asarray(window["words"], dtype=np.int64) if self.whole_words else None
            row, chosen = masking(ids, self._generator(window, ids), words)
            seen.append(row)
            labels.append(chosen)
        targets = pad_rows(labels, NO_TARGET)
        return {
            "input_ids": pad_rows(seen, encoding.tokenizer.pad_token_id or 0),
            "attention_mask": mask_padding([len(row) for row in seen]),
            "labels": targets,
            "logits_to_keep": targets != NO_TARGET,
        }

    def _generator(self, window: Features, ids: np.ndarray) -> np.random.Generator:
        if "epoch" in window:
            return np.random.default_rng((self.seed, int(window["epoch"]), int(window["row"])))
        return np.random.default_rng(zlib.crc32(ids.tobytes()))

    def pick(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``losses`` (B, N) float32, natural logarithms, 0 where nothing was predicted, and ``targets`` (B, N) bool."""
        import torch

        labels, targets = batch["labels"], batch["logits_to_keep"]
        losses = torch.zeros(labels.shape, dtype=torch.float32, device=labels.device)
        losses[targets] = torch.nn.functional.cross_entropy(outputs.logits.float(), labels[targets], reduction="none")
        return {"losses": losses, "targets": targets}

    def decode(
        self, example: TextExample, features: Sequence[Features], outputs: Sequence[Mapping[str, np.ndarray]]
    ) -> Prediction:
        """What the masked tokens of a text cost: ``nats`` in all, for ``targets`` of its ``tokens``."""
        return {
            "id": example.id,
            "nats": float(sum(window["losses"].sum(dtype=np.float64) for window in outputs)),
            "targets": int(sum(window["targets"].sum() for window in outputs)),
            "tokens": sum(window["tokens"] for window in features),
            "characters": len(example.text),
            "bytes": len(example.text.encode("utf-8", "surrogatepass")),
        }

    def record(self, example: TextExample, prediction: Prediction) -> tuple[float, int, int, int, int]:
        """The figures of a prediction, without names."""
        return tuple(prediction[name] for name in _COUNTED)  # type: ignore[return-value]

    def score_records(self, records: Sequence[tuple[float, int, int, int, int]]) -> dict[str, float]:
        """Mean ``loss`` of a masked token, its ``perplexity``, ``bits_per_byte`` and ``bits_per_character``.

        The bits are those of a text in which every token costs what the masked ones do: unlike the perplexity, they
        can be compared between tokenizers.

        Raises:
            ValueError: no token was masked.
        """
        total = {name: sum(record[i] for record in records) for i, name in enumerate(_COUNTED)}
        if total["targets"] == 0:
            raise ValueError("no token was masked: there is no text, or too little of it")
        loss = total["nats"] / total["targets"]
        bits = loss / math.log(2) * total["tokens"]
        return {
            "loss": loss,
            "perplexity": float(np.exp(loss)),
            "bits_per_byte": bits / total["bytes"],
            "bits_per_character": bits / total["characters"],
        }


def _window(
    ids: list[int], words: list[int] | None, start: int, end: int, before: list[int], after: list[int]
) -> Features:
    """The tokens from ``start`` to ``end``, framed by special tokens; ``tokens`` counts them without these."""
    part = ids[start:end]
    features: Features = {"input_ids": [*before, *part, *after], "tokens": len(part)}
    if words is not None:
        features["words"] = [*[_NO_WORD] * len(before), *words[start:end], *[_NO_WORD] * len(after)]
    return features
