"""The result of a run: a checkpoint's model, tokenizer and task, without what only training reads.

Which files these were is kept, so that the run can tell later whether its model is still there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longspan.atomic import partial_name, publish
from longspan.train.manifest import describe_files, find_fault

_MODEL_FILES = (
    *("config.json", "longspan.json", "*.safetensors", "*.safetensors.index.json", "pytorch_model*", "adapter_*"),
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
)


def model_files(folder: Path) -> list[Path]:
    """The files of a folder that make it a model or a tokenizer, by name."""
    return sorted({path for pattern in _MODEL_FILES for path in folder.glob(pattern) if path.is_file()})


def check_no_model(out: Path) -> None:
    """Refuse to write over a model, before a run begins in its folder.

    Raises:
        FileExistsError: naming its files.
    """
    found = [path.name for path in model_files(out)]
    if found:
        named = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise FileExistsError(f"{out} holds a model already ({named}): nothing is written over, name another folder")


def publish_model(
    checkpoint: Path, out: Path, make_adapted: Callable[[], Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Put the model of a checkpoint into ``out``.

    Every file appears whole, the configuration last: until then ``out`` is no model.

    Args:
        checkpoint: a whole one.
        out: a folder.
        make_adapted: makes the model that a checkpoint of adapters belongs to; they are merged into its weights.

    Returns:
        The files, for :func:`is_published`, which reads them as JSON.
    """
    from longspan.train.trainer import STATE_FILES

    partial = partial_name(out / "model")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # README.md is peft's card, which says that these are adapters
    other = ("rng_state", "adapter_", "README.md")
    for path in checkpoint.iterdir():
        if path.is_file() and path.name not in STATE_FILES and not path.name.startswith(other):
            shutil.copyfile(path, partial / path.name)
    if make_adapted is not None:
        model = make_adapted()
        model.load_adapter(str(checkpoint), "default")
        model.merge_and_unload().save_pretrained(partial)
    files = describe_files(partial, partial.iterdir())
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        publish(path, out / path.name)
    partial.rmdir()
    return files


def is_published(out: Path, published: Path) -> bool:
    """Whether ``out`` holds the whole model that was put there.

    Args:
        out: where it was put.
        published: a JSON file of what :func:`publish_model` returned; earlier versions wrote none.

    Raises:
        FileExistsError: something else has the place of one of its files.
    """
    if not published.exists():
        return (out / "config.json").is_file() and any(out.glob("*.safetensors"))
    files = json.loads(published.read_text(encoding="utf-8"))
    there = {name: file for name, file in files.items() if (out / name).is_file()}
    fault = find_fault(out, there)
    if fault is not None:
        raise FileExistsError(
            f"{out} does not hold the model of its run any more: {fault}. Remove that file, and the same command puts "
            "the run's own back; or give another folder to begin anew"
        )
    return len(there) == len(files)
