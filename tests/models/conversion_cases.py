"""Tiny checkpoints of the architectures that can be converted, and comparisons with what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

import longspan
from tests.models.longformer_cases import scatter

# model type: how its classes begin, its own sizes
TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    "roberta": ("Roberta", {"max_position_embeddings": 26, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", {"max_position_embeddings": 26, "type_vocab_size": 1}),
    "camembert": ("Camembert", {"max_position_embeddings": 26, "type_vocab_size": 2}),
    "bert": ("Bert", {"max_position_embeddings": 24, "layer_norm_eps": 1e-6, "eos_token_id": 2}),
    "electra": ("Electra", {"max_position_embeddings": 24, "embedding_size": 32, "eos_token_id": 2}),
}
POSITIONS = 24
WINDOW = 48
VOCABULARY = 60
TOLERANCE = 1e-5
PREDICTIONS = ("last_hidden_state", "pooler_output", "logits", "start_logits", "end_logits")


def make_source(folder: Path, model_type: str, head: str = "Model", seed: int = 0, **changes: Any) -> Any:
    """A checkpoint of random weights in ``folder``, and the model of it."""
    prefix, own = TYPES[model_type]
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        **own,
        **changes,
    }
    if head in ("ForSequenceClassification", "ForTokenClassification"):
        sizes.setdefault("num_labels", 3)
    config = getattr(transformers, f"{prefix}Config")(**sizes)
    model = getattr(transformers, f"{prefix}{head}")(config).eval()
    scatter(model, seed)
    model.save_pretrained(folder)
    return model


def convert(source: Path, to: str = "longformer", **changes: Any) -> tuple[Any, Path]:
    """The report of a conversion beside ``source``, and where the result is."""
    arguments = {"max_length": 100, **({"window": WINDOW} if to == "longformer" else {}), **changes}
    out = source.parent / f"{source.name}-{to}"
    return longspan.convert(source, out, to, **arguments), out


def load(out: Path, name: str, library: Any = longspan) -> Any:
    return getattr(library, name).from_pretrained(out, dtype="auto").eval()


def make_batch(model: Any, lengths: list[int], head: str = "Model", seed: int = 1) -> dict[str, Tensor]:
    """Rows padded on the right with the padding id; as choices of one question for that head."""
    generator = torch.Generator().manual_seed(seed)
    padding = model.config.pad_token_id
    ids = torch.randint(3, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
    ids[ids == padding] = VOCABULARY - 1  # a padding id in the text would have no position
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    inputs = {"input_ids": ids.masked_fill(mask == 0, padding), "attention_mask": mask}
    if model.config.type_vocab_size > 1:
        inputs["token_type_ids"] = torch.randint(2, ids.shape, generator=generator)
    if head == "ForMultipleChoice":
        inputs = {name: x[None] for name, x in inputs.items()}
    return inputs


@torch.no_grad()
def assert_equal_outputs(expected: Any, actual: Any, inputs: dict[str, Tensor]) -> list[str]:
    """What both models predict is the same at valid tokens; the names of what was compared."""
    wanted, found = (model(**inputs, output_hidden_states=True) for model in (expected, actual))
    mask = inputs["attention_mask"].flatten(0, -2).bool()
    compared = []
    for name in PREDICTIONS:
        if wanted.get(name) is None or found.get(name) is None:
            continue
        assert_close(at_valid(found[name], mask), at_valid(wanted[name], mask), name)
        compared.append(name)
    for a, e in zip(found.hidden_states, wanted.hidden_states, strict=True):
        assert_close(at_valid(a, mask), at_valid(e, mask), "hidden_states")
    return compared


def at_valid(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask] if x.shape[:2] == mask.shape else x


def assert_close(actual: Tensor, expected: Tensor, name: str = "") -> None:
    assert actual.shape == expected.shape, f"{name}: {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    error = float((actual.double() - expected.double()).abs().max()) / max(1.0, float(expected.abs().max()))
    assert error <= TOLERANCE, f"{name}: error {error:.2e}"
