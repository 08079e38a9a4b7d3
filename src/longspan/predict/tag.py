"""A token classifier applied to whole documents: text in, passages out, one forward pass each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from longspan.predict.loading import load_model, load_tokenizer, longest_input
from longspan.tasks.decoding import decode, split_labels
from longspan.tasks.passages import Passage
from longspan.tasks.rules import Rule, load_rules

Progress = Callable[[int, int], None]
"""Called with (layers done, layers in all)."""


@dataclass(frozen=True)
class TagResult:
    """What was found in one document.

    passages: sorted by start. n_tokens: length of the model's input. seconds: wall-clock time of the forward pass.
    """

    passages: tuple[Passage, ...]
    n_tokens: int
    seconds: float


class Tagger:
    """Finds the passages that a token classification checkpoint knows.

    Make one with `from_pretrained`. A tagger holds no state between documents and may be shared by threads.
    """

    def __init__(self, model: Any, tokenizer: Any, rules: dict[str, Rule] | None = None) -> None:
        """`model` a token classification model, `tokenizer` its fast tokenizer, `rules` those of `decode`."""
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(f"tokenizer must give offsets (a fast tokenizer), got {type(tokenizer).__name__}")
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.rules = rules or {}

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path | None = None) -> Tagger:
        """Load a checkpoint with its tokenizer and, where it has one, its ``decoding.json``.

        Args:
            path_or_id: folder or hub id of a Longformer or Nyströmformer with a token classification head; None for the
                contract model that ships with longspan.

        Raises:
            OSError: there is no such folder or id, or a file is missing.
            ValueError: the checkpoint is of another architecture or has no token classification head.
        """
        if path_or_id is None:
            with as_file(files("longspan") / "pretrained" / "contracts") as folder:
                return cls._load(str(folder))
        return cls._load(str(path_or_id))

    @classmethod
    def _load(cls, name: str) -> Tagger:
        from transformers.utils import cached_file

        # on the CPU: one short document does not fill an accelerator
        model = load_model(name, "ForTokenClassification", "cpu")
        decoding = cached_file(name, "decoding.json", _raise_exceptions_for_missing_entries=False)
        tokenizer = load_tokenizer(name, model.config.model_type)
        return cls(model, tokenizer, None if decoding is None else load_rules(decoding))

    @property
    def categories(self) -> tuple[str, ...]:
        """What the checkpoint can find, in the order of its labels."""
        return tuple(dict.fromkeys(name for mark, name in split_labels(self._labels) if mark != "O"))

    @property
    def max_tokens(self) -> int | None:
        """The longest input in tokens, special tokens included; None for any length."""
        return longest_input(self.model.config)

    def __call__(self, text: str, *, progress: Progress | None = None) -> TagResult:
        """Find the passages of one document, read whole.

        Args:
            text: the document; offsets in the result are its code points. The model reads CRLF as LF, which is what
                it was trained on.
            progress: called after each layer.

        Raises:
            TypeError: `text` is no string.
            ValueError: the document has more tokens than the model has positions.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {type(text).__name__}")
        if not text.strip():
            return TagResult((), 0, 0.0)
        plain, place = read_newlines(text)
        ids, offsets = self._encode(plain)
        probabilities, seconds = self._forward(ids, progress)
        labels, exclusive = self._labels, not self._multi_label
        passages = decode(probabilities, offsets, plain, labels, self.rules, exclusive=exclusive)
        found = tuple(replace(p, start=place(p.start), end=place(p.end)) for p in passages)
        return TagResult(found, len(ids), seconds)

    def time_dense(self, text: str, *, progress: Progress | None = None) -> float:
        """Seconds of the same forward pass with every token scored against every other one.

        The window is then only a mask: the result is the same, the work grows with the square of the length. Fused
        attention, a few hundred queries at a time, so that memory stays small; see `longspan.predict.dense`.

        Raises:
            ValueError: the model is no Longformer, or the result differs from the window's.
        """
        from longspan.predict.dense import dense_attention

        ids, _ = self._encode(read_newlines(text)[0])
        expected, _ = self._forward(ids, None)
        probabilities, seconds = self._forward(ids, progress, dense_attention(self.model))
        worst = float(np.abs(probabilities - expected).max())
        if worst > 1e-3:
            raise ValueError(f"dense attention gave other probabilities, by up to {worst:.1e}: its time means nothing")
        return seconds

    @property
    def _labels(self) -> list[str]:
        config = self.model.config
        return [config.id2label[i] for i in range(config.num_labels)]

    @property
    def _multi_label(self) -> bool:
        return bool(self.model.config.problem_type == "multi_label_classification")

    def _encode(self, text: str) -> tuple[list[int], np.ndarray]:
        encoding = self.tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
        ids, limit = encoding["input_ids"], self.max_tokens
        if limit is not None and len(ids) > limit:
            raise ValueError(
                f"the document has {len(ids):,} tokens, but the model has positions for {limit:,}; "
                "give a shorter text or a model with position_period"
            )
        return ids, np.array(encoding["offset_mapping"], dtype=np.int64)

    def _forward(
        self, ids: list[int], progress: Progress | None, way: AbstractContextManager[None] | None = None
    ) -> tuple[np.ndarray, float]:
        import torch

        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(way or nullcontext())
            if progress is not None:
                layers = self.model.base_model.encoder.layer
                for done, layer in enumerate(layers, start=1):
                    hook = layer.register_forward_hook(lambda *_, done=done: progress(done, len(layers)))
                    stack.callback(hook.remove)
            inputs = torch.tensor([ids], device=self.model.device)
            began = time.perf_counter()
            logits = self.model(input_ids=inputs).logits[0]
            scores = logits.float().sigmoid() if self._multi_label else logits.float().softmax(dim=-1)
            probabilities = scores.cpu().numpy()
            return probabilities, time.perf_counter() - began


def read_newlines(text: str) -> tuple[str, Callable[[int], int]]:
    """The text with CRLF as LF, and the function from its offsets to those of the text as it was.

    An offset before a line end stays before its CR, one after it is after its LF.
    """
    plain = text.replace("\r\n", "\n")
    ends = np.array([match.start() for match in re.finditer("\r\n", text)], dtype=np.int64)
    ends -= np.arange(len(ends))  # where their LF is in the plain text
    return plain, lambda offset: offset + int(np.searchsorted(ends, offset))
