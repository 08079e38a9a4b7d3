"""The result of a run: a checkpoint's model, tokenizer and task, without what only training reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longspan.atomic import partial_name, publish


def publish_model(checkpoint: Path, out: Path, make_adapted: Callable[[], Any] | None = None) -> None:
    """Put the model of a checkpoint into ``out``.

    Every file appears whole, the configuration last: until then ``out`` is no model.

    Args:
        checkpoint: a whole one.
        out: a folder.
        make_adapted: makes the model that a checkpoint of adapters belongs to; they are merged into its weights.
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
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        publish(path, out / path.name)
    partial.rmdir()
