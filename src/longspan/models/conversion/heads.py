"""Task heads: the names of their layers in each architecture, and which of them compute the same.

A head is known by the roles of its layers: ``out`` alone, ``out(act(dense(h)))``, or, for masked tokens,
``decoder(norm(act(dense(h))))``. Two heads are the same function when they have the same roles and the same activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

KINDS = (
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForMultipleChoice",
    "ForTokenClassification",
    "ForQuestionAnswering",
)


@dataclass(frozen=True)
class Head:
    """A head as an architecture has it.

    Attributes:
        layers: the module of each role.
        activation: what follows ``dense``; "hidden_act" for that of the configuration; None without ``dense``.
        bias: the second name of the decoder's bias, or None.
    """

    layers: Mapping[str, str]
    activation: str | None = None
    bias: str | None = None

    def computes_like(self, other: Head, config: Any) -> bool:
        """Whether both are the same function under the activation of ``config``."""
        return self.layers.keys() == other.layers.keys() and self._activation(config) == other._activation(config)

    def weight_names(self) -> list[str]:
        """The names of its weights and biases, without the second one."""
        return [f"{module}.{part}" for module in self.layers.values() for part in ("weight", "bias")]

    def owns(self, name: str) -> bool:
        """Whether a weight of that name is a part of the head."""
        return name == self.bias or name.startswith(tuple(f"{module}." for module in self.layers.values()))

    def rename(self, weights: Mapping[str, Tensor], target: Head) -> dict[str, Tensor]:
        """The weights of this head under the names of ``target``."""
        renamed = dict(zip(target.weight_names(), (weights[name] for name in self._like(target)), strict=True))
        if target.bias is not None:
            renamed[target.bias] = renamed[f"{target.layers['decoder']}.bias"]
        return renamed

    def _like(self, target: Head) -> list[str]:
        """This head's names in the order of those of ``target``."""
        return [f"{self.layers[role]}.{part}" for role in target.layers for part in ("weight", "bias")]

    def _activation(self, config: Any) -> str | None:
        return config.hidden_act if self.activation == "hidden_act" else self.activation


def _masked(dense: str, norm: str, decoder: str, activation: str, bias: str | None = None) -> Head:
    return Head({"dense": dense, "norm": norm, "decoder": decoder}, activation, bias)


_TOKENS = Head({"out": "classifier"})
_SPANS = Head({"out": "qa_outputs"})
_ROBERTA_MASKED = _masked("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "gelu", "lm_head.bias")
_BERT_MASKED = _masked(
    "cls.predictions.transform.dense",
    "cls.predictions.transform.LayerNorm",
    "cls.predictions.decoder",
    "hidden_act",
    "cls.predictions.bias",
)


def _pooled(prefix: str) -> Head:
    """A layer on the pooled first token."""
    return Head({"dense": f"{prefix}.pooler.dense", "out": "classifier"}, "tanh")


def _dense(activation: str) -> Head:
    return Head({"dense": "classifier.dense", "out": "classifier.out_proj"}, activation)


def _heads(masked: Head, sequence: Head, choice: Head | None) -> dict[str, Head]:
    heads = {
        "ForMaskedLM": masked,
        "ForSequenceClassification": sequence,
        "ForTokenClassification": _TOKENS,
        "ForQuestionAnswering": _SPANS,
    }
    return heads if choice is None else {**heads, "ForMultipleChoice": choice}


# by the names that the weights of an architecture begin with: XLM-R and CamemBERT are "roberta" too
HEADS: dict[str, dict[str, Head]] = {
    "roberta": _heads(_ROBERTA_MASKED, _dense("tanh"), _pooled("roberta")),
    "bert": _heads(_BERT_MASKED, _pooled("bert"), _pooled("bert")),
    "electra": _heads(
        _masked("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head", "gelu"),
        _dense("gelu"),
        None,
    ),
    "longformer": _heads(_ROBERTA_MASKED, _dense("tanh"), _pooled("longformer")),
    "nystromformer": _heads(
        _BERT_MASKED, _dense("hidden_act"), Head({"dense": "pre_classifier", "out": "classifier"}, "relu")
    ),
}
