"""Vectors of documents: one for each text, whatever its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from longspan.predict.loading import load_encoding, load_model
from longspan.predict.loop import BATCH_TOKENS, OnBatch, RawOutputs, run
from longspan.predict.tokens import collate_ids, tokenize
from longspan.tasks.padding import pad_rows
from longspan.tasks.task import Encoding, Features
from longspan.tasks.windows import make_windows, share_tokens

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Pooling = Literal["mean", "cls"]
"""How a document's tokens become one vector."""


class Embedder:
    """Makes one vector of each text with a checkpoint's encoder, whatever head it was trained with.

    "mean" is the mean over all tokens, special ones included, as sentence-transformers computes it. "cls" is the first
    token's vector; no token is global in either, since sentence-transformers gives no global mask.

    A text longer than the model is read in overlapping windows. Its mean takes every token once, from the window in
    which it is farthest inside, with the special tokens before the first and after the last; "cls" is then the mean of
    the windows' first tokens, weighted with the number of tokens that count in each.

    Attributes:
        model: the encoder, on its device.
        encoding: tokenizer and windows.
        pooling: "mean" or "cls".
        normalize: whether vectors are divided by their length.
    """

    def __init__(self, model: Any, encoding: Encoding, pooling: Pooling = "mean", normalize: bool = False) -> None:
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))}, got {pooling!r}")
        self.model = model
        self.encoding = encoding
        self.pooling = pooling
        self.normalize = normalize

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        pooling: Pooling = "mean",
        normalize: bool = False,
        *,
        device: str | None = None,
        max_length: int | None = None,
        stride: int | None = None,
    ) -> Embedder:
        """Load the encoder of a checkpoint.

        Args:
            name: folder or hub id.
            pooling, normalize: as the attributes.
            device, max_length, stride: as in :func:`longspan.predict.load`.

        Raises:
            OSError: there is no such folder or id, or a file is missing.
            ValueError: the checkpoint is of another architecture or damaged, the lengths do not fit the model, or
                ``pooling`` is unknown.
        """
        model = load_model(str(name), "Model", device)
        return cls(model, load_encoding(str(name), model.config, max_length, stride), pooling, normalize)

    def __call__(
        self, texts: Iterable[str], batch_tokens: int = BATCH_TOKENS, on_batch: OnBatch | None = None
    ) -> np.ndarray:
        """The vectors (texts, hidden size), float32.

        Args:
            texts: documents of any length.
            batch_tokens: tokens of one batch, padding included.
            on_batch: called with the number of windows after each batch.

        Raises:
            TypeError: a text is no string, or ``texts`` is one.
        """
        import numpy as np

        if isinstance(texts, str):
            raise TypeError("texts must be several strings, for example a list, got one str")
        vectors = list(self.iterate(texts, batch_tokens, on_batch))
        return np.stack(vectors) if vectors else np.zeros((0, self.model.config.hidden_size), np.float32)

    def iterate(
        self, texts: Iterable[str], batch_tokens: int = BATCH_TOKENS, on_batch: OnBatch | None = None
    ) -> Iterator[np.ndarray]:
        """The vectors (hidden size,) one after another; only a few texts are held at a time."""
        examples = (self._encode(text) for text in texts)
        task = _Pool(self.pooling)
        for windows in run(task, self.model, examples, self.encoding, batch_tokens, on_batch):
            yield self._merge(windows)

    def _encode(self, text: str) -> list[Features]:
        tokens = tokenize(text, self.encoding)
        windows = make_windows(len(tokens.ids), tokens.frame.room, self.encoding.stride)
        features: list[Features] = []
        for number, ((start, end), (first, last)) in enumerate(
            zip(windows, share_tokens(windows), strict=True), start=1
        ):
            inside = [int(first <= place < last) for place in range(start, end)]
            before = [int(number == 1)] * len(tokens.frame.before)
            after = [int(number == len(windows))] * len(tokens.frame.after)
            features.append({"input_ids": tokens.window(start, end), "weights": [*before, *inside, *after]})
        return features

    def _merge(self, windows: Sequence[RawOutputs]) -> np.ndarray:
        import numpy as np

        weights = np.array([window["weight"] for window in windows], dtype=np.float64)
        vectors = np.stack([window["vector"] for window in windows]).astype(np.float64)
        vector = (weights[:, None] * vectors).sum(0) / weights.sum()
        if self.normalize:
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return vector.astype(np.float32)


def embed(
    checkpoint: str | Path | Embedder,
    texts: Iterable[str],
    *,
    pooling: Pooling = "mean",
    normalize: bool = False,
    device: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
) -> np.ndarray:
    """The vectors of texts, (texts, hidden size) float32; see :class:`Embedder` for the arguments and errors."""
    if not isinstance(checkpoint, Embedder):
        checkpoint = Embedder.from_pretrained(
            checkpoint, pooling, normalize, device=device, max_length=max_length, stride=stride
        )
    return checkpoint(texts)


class _Pool:
    """A vector for each window and the number of tokens it stands for."""

    head = "Model"
    targets = ("weights",)

    def __init__(self, pooling: Pooling) -> None:
        self.pooling = pooling

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        batch = collate_ids([window["input_ids"] for window in features], encoding)
        return {**batch, "weights": pad_rows([window["weights"] for window in features], 0)}

    def pick(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        hidden, weights = outputs.last_hidden_state.float(), batch["weights"].float()
        total = weights.sum(1)
        if self.pooling == "cls":
            return {"vector": hidden[:, 0], "weight": total}
        # a window of which nothing counts has a weight of 0, whatever its vector
        return {"vector": (weights[:, :, None] * hidden).sum(1) / total.clamp(min=1)[:, None], "weight": total}
