"""What longspan has to reach: every number of its performance goals, and which measure answers it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SENSES: dict[str, Callable[[float, float], bool]] = {
    "at least": operator.ge,
    "at most": operator.le,
    "over": operator.gt,
    "under": operator.lt,
}


@dataclass(frozen=True)
class Bar:
    """One number to reach.

    Attributes:
        number: of the goal it belongs to.
        key: of the measure; its first word is the part.
        what: is measured.
        sense: "at least", "at most", "over" or "under".
        limit: the number.
        unit: of both.
    """

    number: int
    key: str
    what: str
    sense: str
    limit: float
    unit: str = "x"

    @property
    def part(self) -> str:
        """The part of the benchmark that measures it."""
        return self.key.partition(".")[0]

    @property
    def optional(self) -> bool:
        """Whether it is an extra row: the same number asked of the optional backend ``cpp``."""
        return "cpp" in self.key

    @property
    def target(self) -> str:
        """The number in words."""
        return f"{self.sense} {self.limit:g}{unit(self.unit)}"

    def measured(self, results: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        """The measure (``median``, ``low``, ``high``, or ``skipped``); None where its part has no result."""
        result = results.get(self.part, {})
        if "failed" in result:
            return {"skipped": f"the part failed: {result['failed']}"}
        return result.get("measures", {}).get(self.key)

    def met(self, measure: dict[str, Any] | None) -> bool | None:
        """Whether the median reaches the number; None where there is no median."""
        if measure is None or "median" not in measure:
            return None
        return _SENSES[self.sense](measure["median"], self.limit)


def unit(name: str) -> str:
    """A unit as it follows a number."""
    return {"": "", "x": " x"}.get(name, f" {name}")


BARS = (
    Bar(1, "forward.transformers", "12 layers, 4,096 tokens: faster than transformers' Longformer", "at least", 2.4),
    Bar(1, "forward.roberta", "12 layers, 4,096 tokens: faster than RoBERTa with SDPA", "at least", 1.5),
    Bar(1, "forward.bfloat16", "in bfloat16: faster than transformers' Longformer in float32", "at least", 4.0),
    Bar(1, "forward.cpp", "backend cpp: faster than transformers' Longformer", "at least", 2.4),
    Bar(1, "forward.cpp_bfloat16", "backend cpp in bfloat16: faster than transformers' in float32", "at least", 4.0),
    Bar(2, "attention.chunks", "attention alone: faster than transformers' sliding chunks", "at least", 7.0),
    Bar(2, "attention.flex", "attention alone: faster than compiled FlexAttention", "over", 1.0),
    Bar(2, "attention.roofline", "attention alone, 4,096 tokens: times the roofline", "at most", 2.0),
    Bar(2, "attention.roofline_long", "attention alone, 65,536 tokens: times the roofline", "at most", 2.0),
    Bar(2, "attention.cpp", "backend cpp alone, 4,096 tokens: times the roofline", "at most", 2.0),
    Bar(2, "attention.cpp_long", "backend cpp alone, 65,536 tokens: times the roofline", "at most", 2.0),
    Bar(2, "attention.cpp_chunks", "backend cpp alone: faster than transformers' sliding chunks", "at least", 7.0),
    Bar(2, "attention.flat", "attention alone: cost per token, 2,048 to 65,536 tokens", "at most", 1.15),
    *(
        Bar(3, f"short.plain.{n}.roberta", f"{n:,} tokens, no global token: time of RoBERTa with SDPA", "at most", 1.15)
        for n in (16, 128, 512, 1024)
    ),
    *(
        Bar(3, f"short.global.{n}.roberta", f"{n:,} tokens, one global token: time of RoBERTa", "at most", 1.3)
        for n in (16, 128)
    ),
    *(
        Bar(
            3,
            f"short.{kind}.16.transformers",
            f"16 tokens, {words}: faster than transformers' Longformer",
            "at least",
            8,
        )
        for kind, words in (("global", "one global token"), ("plain", "no global token"))
    ),
    Bar(3, "attention.narrow", "attention alone: time with window 64 over window 512", "at most", 0.4),
    Bar(4, "train.step", "training step, no dropout: faster than transformers' Longformer", "at least", 2.2),
    Bar(4, "train.step.memory", "training step: activation memory over transformers'", "at most", 0.45),
    Bar(4, "train.dropout", "training step, attention dropout 0.1: faster than transformers'", "over", 1.0),
    Bar(4, "train.kept", "largest tensor kept for backward, in N x window maps of a layer", "under", 1.0),
    Bar(5, "nystrom.layer", "Nyströmformer, per layer: faster than transformers'", "at least", 1.4),
    Bar(5, "nystrom.operation", "Nyström attention alone: faster than transformers'", "at least", 2.0),
    Bar(5, "nystrom.memory", "Nyström attention alone: memory over transformers'", "at most", 0.333),
    Bar(5, "nystrom.flat", "Nyström attention alone: cost per token, 4,096 to 65,536 tokens", "at most", 1.15),
    Bar(6, "ragged.longformer", "Longformer: a ragged batch over the sum of its documents", "at most", 1.15),
    Bar(6, "ragged.nystromformer", "Nyströmformer: a ragged batch over the sum of its documents", "at most", 1.15),
    *(
        bar
        for key, name in (("longformer", "Longformer"), ("nystromformer", "Nyströmformer"))
        for bar in (
            Bar(
                7, f"length.{key}.states", f"{name}: memory growth per token (about 2)", "at most", 2.5, "hidden states"
            ),
            Bar(7, f"long.{key}.memory", f"{name}, 12 layers, 131,072 tokens: above the weights", "at most", 2.5, "GB"),
            Bar(7, f"long.{key}.cost", f"{name}, 131,072 tokens: cost per token over that of 4,096", "at most", 1.25),
            Bar(7, f"million.{key}.memory", f"{name}, 1,048,576 tokens: above the weights", "at most", 9.0, "GB"),
        )
    ),
    Bar(8, "startup.import", "`import longspan` in a fresh process", "under", 0.5, "s"),
    Bar(8, "startup.torch", "torch in sys.modules after it (1: yes)", "at most", 0, ""),
    Bar(8, "startup.threads", "threads of the process after it", "at most", 1, ""),
    Bar(8, "startup.compiled", "graphs compiled in 500 passes", "at most", 0, ""),
    Bar(8, "startup.growth", "memory that 500 passes of varying lengths add, still held", "under", 8, "MiB"),
    Bar(9, "keras.transformers", "TensorFlow, 4,096 tokens: faster than the last TFLongformerModel", "at least", 1.25),
    Bar(9, "keras.linear", "TensorFlow: time of 16,384 tokens over that of 4,096", "at most", 4.4),
    Bar(9, "keras.flat", "TensorFlow: memory per token, 16,384 over 4,096 tokens", "at most", 1.15),
)
