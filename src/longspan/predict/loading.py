"""A checkpoint with everything that applying it needs: the model under the right head, its tokenizer, its task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longspan.tasks.registry import make_task
from longspan.tasks.task import Encoding, Task

if TYPE_CHECKING:
    import torch

FAMILIES = {"longformer": "Longformer", "nystromformer": "Nystromformer"}
"""Model type -> what the names of its classes begin with."""

TASK_FILE = "longspan.json"
"""Written beside the weights by training: ``{"task": name, "options": {...}}``, and ``max_length`` and ``stride``
where windows are not the model's own length."""

STRIDE = 128
"""Tokens that neighbouring windows share, where neither the checkpoint nor the caller says otherwise."""

# Options of tasks that say what the outputs mean: they were settled in training.
_MEANINGS = ("labels", "problem", "moments")

# What a head is for in a checkpoint that does not say it.
_TASK_OF_HEAD = {
    "ForSequenceClassification": "classify",
    "ForMultipleChoice": "choose",
    "ForTokenClassification": "tag",
    "ForQuestionAnswering": "answer",
    "ForMaskedLM": "mlm",
}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        name: folder or hub id.
        model: in evaluation mode, on its device.
        task: with the options it was trained with.
        encoding: the tokenizer, and how documents longer than the model are cut.
    """

    name: str
    model: Any
    task: Task[Any]
    encoding: Encoding


def load(
    name: str | Path,
    task: str | None = None,
    device: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Load a checkpoint for its task.

    Args:
        name: folder or hub id.
        task: the task it has to be of; None for whatever it is.
        device: such as "cpu" or "cuda"; None for the first accelerator, else the CPU.
        max_length: tokens of a window; None for what the checkpoint says, else as many as the model reads.
        stride: tokens that neighbouring windows share; None for what the checkpoint says, else ``STRIDE``, or a
            quarter of ``max_length`` where that is less.
        options: of the task, which win over those that it was trained with: columns of other data, say.

    Raises:
        OSError: there is no such folder or id, or a file is missing.
        ValueError: the checkpoint is of another architecture or task, lacks its head's weights or is damaged, the
            lengths do not fit the model, or an option is none of the task's or decides what its outputs mean.
    """
    name, options = str(name), options or {}
    config = read_config(name)
    saved = read_task_file(name)
    found = find_task(name)
    if task is not None and found != task:
        raise ValueError(f"{name} is a checkpoint for the task {found!r}, not for {task!r}")
    fixed = [option for option in _MEANINGS if option in options]
    if fixed:
        raise ValueError(f"{', '.join(fixed)} belong to the outputs of {name}, and cannot be given")
    made = make_task(found, {**(saved.get("options") or _options(found, config)), **options})
    model = load_model(name, made.head, device)
    return Checkpoint(name, model, made, load_encoding(name, model.config, max_length, stride))


def read_config(name: str) -> dict[str, Any]:
    """The fields of a checkpoint's config.json.

    Raises:
        OSError: there is no such folder or hub id, or it has no config.json.
        ValueError: the checkpoint is of another architecture.
    """
    from transformers import PreTrainedConfig

    from longspan.models.hub import check_name

    check_name(name)
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name} holds no config.json: it is no checkpoint")
    fields: dict[str, Any] = PreTrainedConfig.get_config_dict(name)[0]
    family = fields.get("model_type")
    if family not in FAMILIES:
        raise ValueError(f"{name} is a checkpoint of {family!r}; longspan reads {' and '.join(FAMILIES)}")
    return fields


def read_task_file(name: str) -> dict[str, Any]:
    """The content of a checkpoint's ``TASK_FILE``; empty where it has none.

    Raises:
        ValueError: the file is damaged.
    """
    from longspan.models.tokenizer_files import read_json_file

    saved = read_json_file(name, TASK_FILE, {})
    if saved and not isinstance(saved.get("task"), str):
        raise ValueError(f'{TASK_FILE} of {name!r} must name its task: {{"task": ..., "options": ...}}')
    for key in ("max_length", "stride"):
        if not isinstance(saved.get(key, 0), int):
            raise ValueError(f"{key} in {TASK_FILE} of {name!r} must be a whole number, got {saved[key]!r}")
    return saved


def write_task_file(folder: str | Path, task: Task[Any], max_length: int | None = None, stride: int = STRIDE) -> None:
    """Write ``TASK_FILE`` into a checkpoint's folder, so that :func:`load` makes the same task again."""
    content = {"task": task.name, "options": task.options(), "max_length": max_length, "stride": stride}
    text = json.dumps({key: value for key, value in content.items() if value is not None}, indent=2)
    (Path(folder) / TASK_FILE).write_text(text + "\n", encoding="utf-8")


def find_task(name: str) -> str:
    """The task of a checkpoint, as its files say it.

    Raises:
        OSError, ValueError: as in :func:`load`.
    """
    config = read_config(name)
    return read_task_file(name).get("task") or guess_task(name, config)


def guess_task(name: str, config: Mapping[str, Any]) -> str:
    """The task of a checkpoint without ``TASK_FILE``, by the class that its config.json names.

    Raises:
        ValueError: it names none with a head.
    """
    architectures = config.get("architectures") or []
    for architecture in architectures:
        for head, task in _TASK_OF_HEAD.items():
            if str(architecture).endswith(head):
                return task
    raise ValueError(
        f"{name} has no head for a task (architectures: {', '.join(map(str, architectures)) or 'none'}): fine-tune it "
        "first with `longspan train`"
    )


def model_class(family: str, head: str) -> Any:
    """The class of a family ("longformer") with a head ("ForMaskedLM", or "Model" for none)."""
    return getattr(import_module(f"longspan.models.{family}"), f"{FAMILIES[family]}{head}")


def load_model(name: str, head: str, device: str | None = None) -> Any:
    """The model in float32 and evaluation mode; ``head`` as in :func:`model_class`.

    Raises:
        OSError, ValueError: as in :func:`load`.
    """
    import torch

    from longspan.models.quiet import quiet_transformers

    family = read_config(name)["model_type"]
    cls = model_class(family, head)
    # a model for a task is saved without a pooler
    bare = {"add_pooling_layer": False} if (family, head) == ("longformer", "Model") else {}
    with quiet_transformers():
        model, found = cls.from_pretrained(name, dtype=torch.float32, output_loading_info=True, **bare)
    missing = sorted(found["missing_keys"])
    if missing:
        listed = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(f"{name} lacks weights of {cls.__name__} ({listed}): fine-tune it for this task first")
    return model.to(find_device(device)).eval()


def find_device(name: str | None = None) -> torch.device:
    """The device of that name; for None the first accelerator, else the CPU.

    Raises:
        ValueError: there is none.
    """
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"device {name!r} cannot be used here: {reason}") from None
    return device


def load_tokenizer(name: str, family: str) -> Any:
    """The checkpoint's own tokenizer, of whatever class its files name.

    Raises:
        OSError: there is no such folder or hub id.
        ValueError: it is missing or damaged, or gives no offsets.
    """
    from longspan.models.hub import check_name

    check_name(name)
    cls = getattr(import_module(f"longspan.models.{family}"), f"{FAMILIES[family]}Tokenizer")
    # as AutoTokenizer calls it: a model made of another family's has that family's tokenizer
    tokenizer = cls.from_pretrained(name, _from_auto=True)
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"the tokenizer of {name} must give offsets (a fast one), got {type(tokenizer).__name__}")
    return tokenizer


def load_encoding(name: str, config: Any, max_length: int | None = None, stride: int | None = None) -> Encoding:
    """The checkpoint's tokenizer and its windows.

    Args:
        name: folder or hub id.
        config: the model's configuration.
        max_length, stride: as in :func:`load`.

    Raises:
        ValueError: the tokenizer is missing or damaged, or the lengths do not fit the model.
    """
    saved = read_task_file(name)
    tokenizer = load_tokenizer(name, config.model_type)
    max_length = _fit_length(saved.get("max_length") if max_length is None else max_length, longest_input(config))
    if stride is None:
        stride = saved.get("stride", STRIDE)
        if max_length is not None:
            stride = min(stride, max_length // 4)
    return Encoding(tokenizer, max_length, stride, config.model_type)


def longest_input(config: Any) -> int | None:
    """Tokens of the longest input, special ones included; None for any length."""
    if getattr(config, "position_period", None) is not None:
        return None
    return int(config.max_position_embeddings) - int(getattr(config, "position_offset", 0))


def _fit_length(wanted: int | None, limit: int | None) -> int | None:
    if wanted is None:
        return limit
    if wanted < 1 or (limit is not None and wanted > limit):
        raise ValueError(f"max_length must be from 1 to {limit or 'any number of'} tokens, got {wanted}")
    return wanted


def _options(task: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a task can know from config.json alone."""
    if task not in ("classify", "tag"):
        return {}
    count = config.get("num_labels", 2)
    labels = config.get("id2label") or {i: f"LABEL_{i}" for i in range(count)}
    names = [labels[key] for key in sorted(labels, key=int)]
    return {"labels": names, "problem": config.get("problem_type")} if task == "classify" else {"labels": names}
