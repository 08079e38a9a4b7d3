"""Extractive question answering over documents of any length: the task ``answer``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longspan.tasks.answer_scores import AnswerRecord, score_answers
from longspan.tasks.examples import BadRow, QuestionExample
from longspan.tasks.layouts.questions import read_questions
from longspan.tasks.layouts.triviaqa import TriviaExample
from longspan.tasks.logits import NO_TARGET, softmax
from longspan.tasks.padding import mask_padding, pad_rows
from longspan.tasks.question_windows import DocumentTokens, read_document, read_question
from longspan.tasks.span_targets import find_places, find_targets, marginal_loss
from longspan.tasks.task import Encoding, Features, Prediction, Task
from longspan.tasks.windows import Spans, best_spans, make_windows, merge_spans

if TYPE_CHECKING:
    from torch import Tensor

# Where the question and the document are in a window.
_PLACES = ("question_tokens", "document_first", "document_tokens")


class Answer(Task[QuestionExample]):
    """Find a question's answer in a document, or that there is none.

    A row is ``<s> question </s></s> part of the document </s>``, for Longformer with the question's tokens global. The
    first token stands for "no answer in this window". The loss is the negative logarithm of the probability that the
    first token is any of the answer's first ones, and the same of the last, over all its places in the window
    (Clark and Gardner, 2018; the Longformer paper's loss for TriviaQA). With one place it is the known loss.

    Args:
        max_answer_length: tokens of the longest answer.
        n_best: candidates that a prediction lists.
        no_answer: whether "" may be the answer; None to go by the training examples.
        null_threshold: how far the score of "no answer" must be above that of the best span.
        empty_windows: windows without an answer that training keeps of each document, chosen by the example's id.

    Raises:
        ValueError: an argument is out of its range.
    """

    name: ClassVar[str] = "answer"
    head: ClassVar[str] = "ForQuestionAnswering"
    metric = "f1"
    targets = ("start_positions", "end_positions", "span_mask")
    outputs = ("start_logits", "end_logits")

    def __init__(
        self,
        max_answer_length: int = 30,
        n_best: int = 5,
        no_answer: bool | None = None,
        null_threshold: float = 0.0,
        empty_windows: int = 2,
    ) -> None:
        for argument, value, least in (
            ("max_answer_length", max_answer_length, 1),
            ("n_best", n_best, 1),
            ("empty_windows", empty_windows, 0),
        ):
            if value < least:
                raise ValueError(f"{argument} must be at least {least}, got {value}")
        self.max_answer_length = max_answer_length
        self.n_best = n_best
        self.no_answer = no_answer
        self.null_threshold = null_threshold
        self.empty_windows = empty_windows
        self._last: tuple[Any, str, DocumentTokens] | None = None

    def options(self) -> dict[str, Any]:
        return {
            "max_answer_length": self.max_answer_length,
            "n_best": self.n_best,
            "no_answer": self.no_answer,
            "null_threshold": self.null_threshold,
            "empty_windows": self.empty_windows,
        }

    def settings(self) -> dict[str, Any]:
        return {"num_labels": 2}

    def read(self, path: str, layout: str | None = None) -> Iterator[QuestionExample | BadRow]:
        """The questions of a file; the layouts are the keys of ``longspan.tasks.layouts.questions.LAYOUTS``."""
        return read_questions(path, layout)

    def learn(self, examples: Iterable[QuestionExample]) -> None:
        without = sum(example.answerable is False for example in examples)
        if self.no_answer is None:
            self.no_answer = without > 0

    def group(self, example: QuestionExample) -> str | None:
        return example.context

    def encode(self, example: QuestionExample, encoding: Encoding, training: bool) -> list[Features] | BadRow:
        if not example.question.strip():
            return BadRow(example.source, "the question is blank")
        try:
            question = read_question(encoding.tokenizer, example.question.strip())
            document = self._read(example.context, encoding.tokenizer)
            places = find_places(example, document)
        except ValueError as error:
            return BadRow(example.source, str(error))
        room = None
        if encoding.max_length is not None:
            room = encoding.max_length - len(question.before) - len(question.after)
            several = len(document.ids) > room
            if room < 1 or (several and room <= encoding.stride):
                return BadRow(
                    example.source,
                    f"the question leaves room for {max(room, 0)} of the {encoding.max_length} tokens that the model "
                    f"reads at once; windows that share {encoding.stride} need more",
                )
        if training and places is None:
            # What stands nowhere in its document cannot be learnt from it.
            return [] if example.answers else BadRow(example.source, "there is no answer to learn")
        windows = []
        for first, last in make_windows(len(document.ids), room, encoding.stride):
            window = question.surround(document.ids[first:last])
            counts = (question.asked, len(question.before), last - first)
            window |= dict(zip(_PLACES, counts, strict=True))
            window |= find_targets(places, first, last, len(question.before))
            if not training:
                window["offset_starts"] = document.starts[first:last].tolist()
                window["offset_ends"] = document.ends[first:last].tolist()
            windows.append(window)
        return self._thin(example, windows) if training else windows

    def _read(self, context: str, tokenizer: Any) -> DocumentTokens:
        # Questions about one document follow each other, and it may be long.
        if self._last is None or self._last[0] is not tokenizer or self._last[1] != context:
            self._last = tokenizer, context, read_document(tokenizer, context)
        return self._last[2]

    def _thin(self, example: QuestionExample, windows: list[Features]) -> list[Features]:
        """Windows with an answer and some of those without one, in their order; one at least."""
        empty = [i for i, window in enumerate(windows) if window["start_positions"] == [0]]
        least = 1 if len(empty) == len(windows) else 0
        kept = set(Random(example.id).sample(empty, min(len(empty), max(self.empty_windows, least))))
        dropped = set(empty) - kept
        return [window for i, window in enumerate(windows) if i not in dropped]

    def collate(self, features: Sequence[Features], encoding: Encoding) -> dict[str, Tensor]:
        import torch

        pad = encoding.tokenizer.pad_token_id
        ids = [window["input_ids"] for window in features]
        batch = {
            "input_ids": pad_rows(ids, 0 if pad is None else pad),
            "attention_mask": mask_padding([*map(len, ids)]),
        }
        if "token_type_ids" in features[0]:
            batch["token_type_ids"] = pad_rows([window["token_type_ids"] for window in features], 0)
        place = torch.arange(batch["input_ids"].shape[1])
        question, first, count = (torch.tensor([[window[name]] for window in features]) for name in _PLACES)
        if encoding.family == "longformer":
            batch["global_attention_mask"] = (place < question).long()
        batch["start_positions"] = pad_rows([window["start_positions"] for window in features], NO_TARGET)
        batch["end_positions"] = pad_rows([window["end_positions"] for window in features], NO_TARGET)
        batch["span_mask"] = (place == 0) | ((place >= first) & (place < first + count))
        return batch

    def count_targets(self, batch: Mapping[str, Tensor]) -> int:
        return int((batch["start_positions"] >= 0).any(1).sum())

    def loss(self, outputs: Any, batch: Mapping[str, Tensor], num_items_in_batch: Any = None) -> Tensor:
        """The mean of the losses of the first and of the last token; over the document's tokens and "no answer"."""
        import torch

        mask = batch["span_mask"]
        first = marginal_loss(outputs.start_logits, batch["start_positions"], mask)
        last = marginal_loss(outputs.end_logits, batch["end_positions"], mask)
        total = (first + last).sum() / 2
        count = self.count_targets(batch) if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(count, device=total.device).clamp(min=1)

    def decode(
        self,
        example: QuestionExample,
        features: Sequence[Features],
        outputs: Sequence[Mapping[str, np.ndarray]],
    ) -> Prediction:
        """``answer`` with ``start`` and ``end`` in the context, its ``score``, and the ``candidates``.

        A score is the sum of two logits. The score of "no answer", ``null_score``, is its least over the windows: there
        is none only if it is in none of them.
        """
        null, found = math.inf, []
        for window, output in zip(features, outputs, strict=True):
            start, end = (output[name].astype(np.float64) for name in self.outputs)
            null = min(null, float(start[0] + end[0]))
            _, first, count = (window[name] for name in _PLACES)
            starts, ends = (np.asarray(window[name], dtype=np.int64) for name in ("offset_starts", "offset_ends"))
            # A token without a place is neither first nor last.
            start, end = (np.where(starts < ends, x[first : first + count], -np.inf) for x in (start, end))
            spans = best_spans(start, end, self.max_answer_length, self.n_best)
            found.append(Spans(starts[spans.first], ends[spans.last], spans.score))
        best = merge_spans(found, self.n_best)
        scores = np.append(best.score, [null] if self.no_answer else [])
        candidates = [
            {"text": example.context[start:end], "start": start, "end": end, "score": score, "probability": share}
            for start, end, score, share in zip(
                best.first.tolist(), best.last.tolist(), best.score.tolist(), softmax(scores).tolist(), strict=False
            )
        ]
        answered = bool(candidates) and not (self.no_answer and null - best.score[0] > self.null_threshold)
        chosen = candidates[0] if answered else {"text": "", "start": None, "end": None}
        return {
            "id": example.id,
            "answer": chosen["text"],
            "start": chosen["start"],
            "end": chosen["end"],
            "score": candidates[0]["score"] if candidates else None,
            "null_score": null,
            "candidates": candidates,
        }

    def record(self, example: QuestionExample, prediction: Prediction) -> AnswerRecord:
        """The right answers, the one that is said, and the best span with what speaks against it."""
        trivia = isinstance(example, TriviaExample)
        golds = example.aliases if isinstance(example, TriviaExample) else tuple(text for text, _ in example.answers)
        if not golds and example.answerable is not False:
            raise ValueError(f"{example.source}: the question {example.id!r} has no gold answer")
        best, above = "", math.inf
        if prediction.get("candidates"):
            best, above = prediction["candidates"][0]["text"], prediction["null_score"] - prediction["score"]
        return AnswerRecord(golds, prediction["answer"], best, above, trivia)

    def score_records(self, records: Sequence[AnswerRecord]) -> dict[str, float]:
        """``exact`` and ``f1``, in percent: of TriviaQA, of SQuAD v2.0 where a question has no answer, else of v1.1.

        Raises:
            ValueError: there is no question.

        See :mod:`longspan.tasks.trivia_metric` and :mod:`longspan.tasks.squad_metric`.
        """
        return score_answers(records)
