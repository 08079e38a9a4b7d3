"""What training starts from: a checkpoint or new weights under the task's head, with a tokenizer; and LoRA."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from longspan.predict.loading import (
    FAMILIES,
    STRIDE,
    load_tokenizer,
    longest_input,
    model_class,
    read_config,
    read_task_file,
)
from longspan.tasks.examples import Example
from longspan.tasks.task import Encoding, Task
from longspan.train.heads import label_names, match_labels

logger = logging.getLogger("longspan.train")

VOCABULARY = 8192
"""Entries of a tokenizer that is trained on the data itself."""

_TEXT_FIELDS = ("text", "text_pair", "question", "context", "prompt", "choices", "supports")
_ADAPTED = ("query", "key", "value", "query_global", "key_global", "value_global")


@dataclasses.dataclass(frozen=True)
class Start:
    """Where training starts.

    Attributes:
        model: folder or hub id of a checkpoint; None to train new weights.
        scratch: name of a size of new weights; None to start from ``model``.
        family: of new weights, "longformer" or "nystromformer".
        tokenizer: folder or hub id of a tokenizer; None for the checkpoint's, or with ``scratch`` for one that is
            trained on the training texts.
    """

    model: str | None = None
    scratch: str | None = None
    family: str = "longformer"
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        """Check that there is one start.

        Raises:
            ValueError: there is none, or two; or the family is unknown.
        """
        if (self.model is None) == (self.scratch is None):
            raise ValueError(
                "training starts from a checkpoint (model) or from new weights (scratch): give one of them"
            )
        if self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {self.family!r}")


def known_options(start: Start, task: Task[Any]) -> dict[str, Any] | None:
    """The options of the checkpoint's own task where it is this one, labels among them, and those given to ``task``.

    None where the checkpoint is of no task or another one, whose labels mean nothing here.
    """
    if start.model is None:
        return None
    saved = read_task_file(start.model)
    if saved.get("task") != task.name:
        return None
    own = task.options()
    return {**own, **(saved.get("options") or {}), **{name: own[name] for name in own if name in task.given}}


def make_tokenizer(start: Start, texts: Iterable[str], folder: Path, special: Iterable[str] = ()) -> Any:
    """The tokenizer; one that is trained is kept in ``folder`` and loaded from there the next time.

    Args:
        start: whose tokenizer.
        texts: of the training examples; read only where a tokenizer is trained.
        folder: of a tokenizer that is trained.
        special: tokens that it has to have.

    Raises:
        OSError, ValueError: it cannot be loaded.
    """
    family, source = start.family, start.tokenizer or start.model
    if start.model is not None:
        family = read_config(start.model)["model_type"]
    if source is None:
        source = str(folder)
        if not folder.exists():
            from longspan.atomic import write_folder
            from longspan.train.vocabulary import train_family_tokenizer

            with write_folder(folder) as partial:
                train_family_tokenizer(texts, family, VOCABULARY).save_pretrained(str(partial))
    tokenizer = load_tokenizer(source, family)
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([token for token in special if token not in known], special_tokens=True)
    return tokenizer


def make_config(start: Start, tokenizer: Any, settings: Mapping[str, Any], max_length: int | None = None) -> Any:
    """The model's configuration with the task's fields in it; new weights read ``max_length`` tokens.

    Raises:
        OSError, ValueError: the checkpoint cannot be read, or there is no such preset.
    """
    if start.model is None:
        from longspan.models.presets import MAX_LENGTH, preset_config, token_fields

        fields = {**token_fields(tokenizer), **settings}
        return preset_config(start.scratch or "", start.family, max_length=max_length or MAX_LENGTH, **fields)
    family = read_config(start.model)["model_type"]
    return model_class(family, "Config").from_pretrained(start.model, **settings)


def make_encoding(config: Any, tokenizer: Any, max_length: int | None, stride: int | None) -> Encoding:
    """How texts become tokens for a model of this configuration.

    Raises:
        ValueError: ``max_length`` is more than the model reads, or ``stride`` not less than it.
    """
    limit = longest_input(config)
    if max_length is not None and limit is not None and max_length > limit:
        raise ValueError(f"max_length must be at most {limit}, which is what the model reads, got {max_length}")
    length = limit if max_length is None else max_length
    if stride is None:
        stride = STRIDE if length is None else min(STRIDE, length // 4)
    if length is not None and stride >= length:
        raise ValueError(f"stride must be less than the {length} tokens of a window, got {stride}")
    return Encoding(tokenizer, length, stride, config.model_type)


def make_model(start: Start, task: Task[Any], config: Any, tokens: int, lora: int | None = None) -> Any:
    """The model under the task's head, in float32; what the checkpoint lacks is new, outputs for other labels too.

    Args:
        start, task: what to make.
        config: of :func:`make_config`.
        tokens: entries of the tokenizer; the model gets embeddings for those that it lacks.
        lora: rank of the adapters; None for none.

    Raises:
        OSError, ValueError: the checkpoint cannot be loaded, or is not of this architecture.
    """
    import torch

    cls = model_class(config.model_type, task.head)
    new: list[str] = []
    if start.model is None:
        if lora is not None:
            raise ValueError("lora adapts a checkpoint's weights; with scratch there are none")
        model = cls(config)
    else:
        model, found = cls.from_pretrained(
            start.model, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True
        )
        wrong = [key for key, *_ in found["mismatched_keys"]]
        body = [key for key in wrong if key.startswith(f"{cls.base_model_prefix}.")]
        if body:
            raise ValueError(
                f"{start.model} has weights of other shapes than its configuration says: {', '.join(body)}"
            )
        new = [*found["missing_keys"], *wrong]
        if "id2label" in task.settings() and not any(key.startswith("classifier.") for key in new):
            before, after = label_names(read_config(start.model)), label_names({"id2label": config.id2label})
            new += match_labels(model, before, after)
        if new:
            logger.info("new weights: %s", ", ".join(sorted(new)))
        if tokens > config.vocab_size:
            model.resize_token_embeddings(tokens)
            new.append(".word_embeddings.weight")
    return model if lora is None else adapt(model, lora, new)


def adapt(model: Any, rank: int, new: Iterable[str] = ()) -> Any:
    """The model with low-rank adapters on its query, key and value projections; its head is trained whole.

    Args:
        model: of a task, its weights are frozen.
        rank: of the adapters.
        new: names of weights that no checkpoint had; a new pooler or new embeddings are trained whole too.

    Source: Hu and others: LoRA: Low-Rank Adaptation of Large Language Models, 2021.
    """
    from peft import LoraConfig, get_peft_model

    leaves = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    whole = [name for name, _ in model.named_children() if name != model.base_model_prefix and name != "dropout"]
    if type(model).__name__.endswith("ForMaskedLM"):
        if any(name.startswith(tuple(whole)) for name in new):
            raise ValueError(
                "lora for mlm needs a checkpoint with its masked-LM head: a new one cannot be trained alone"
            )
        whole = []  # its decoder is the word embeddings, which stay
    whole += [part for part in ("pooler", "word_embeddings") if any(f".{part}." in name for name in new)]
    settings = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.05,
        target_modules=[name for name in _ADAPTED if name in leaves],
        modules_to_save=whole or None,
    )
    return get_peft_model(model, settings)


def texts_of(examples: Iterable[Example]) -> Iterator[str]:
    """Every text of the examples, for a tokenizer to learn from."""
    for example in examples:
        for name in _TEXT_FIELDS:
            value = getattr(example, name, None)
            if isinstance(value, str):
                yield value
            elif isinstance(value, tuple):
                yield from value
