"""One training run in stages; it resumes by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from longspan.atomic import remove_left_overs, write_folder, write_json
from longspan.charlm.recipe import Recipe
from longspan.charlm.settings import Settings, as_dict, make_settings
from longspan.charlm.texts import Text, read_text, split_text
from longspan.tasks.examples import DataError
from longspan.train.identity import check_same, stamp
from longspan.train.lock import hold
from longspan.train.records import add_peak, peak_memory, read_history, read_json, where_it_ran
from longspan.train.sources import OnProgress

RUN, HISTORY, RESULT, MODEL = "run.json", "history.json", "result.json", "model"


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train by a recipe, or finish a run that was begun in ``out``; the model is then in ``out/model``.

    Args:
        recipe: settings and stages.
        data: the text, see :func:`read_text`; its parts are those of the recipe.
        out: folder of the run.
        changes: settings that win over the recipe's.
        seed: of weights, dropout and the places that are read.
        device: None for the first accelerator, else the CPU.
        on_progress: told how far it is.

    Returns:
        What is in ``result.json``.

    Raises:
        BusyRun: another command is at work in ``out``.
        DataError: the text cannot be used.
        DifferentRun: ``out`` holds a run with other arguments.
        OSError, TypeError, ValueError: a file or an argument cannot be used, or the training diverged.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    settings = make_settings(recipe.settings, recipe.stages, changes or {})
    text = read_text(data)
    if recipe.characters is not None and len(text) != recipe.characters:
        raise DataError(
            f"{data}: the recipe {recipe.name} is for a text of {recipe.characters:,} characters, "
            f"this one has {len(text):,}"
        )
    parts = split_text(text, recipe.validation, recipe.test)
    run = {
        **as_dict(settings),
        "data": stamp(data),
        "shares": [recipe.validation, recipe.test],
        "seed": seed,
    }
    if (out / RUN).exists():
        check_same(out, read_json(out / RUN), run)
    if (out / RESULT).exists():
        return read_json(out / RESULT)
    trainer = make_trainer(parts["train"], settings, out, seed, device, on_progress)
    out.mkdir(parents=True, exist_ok=True)
    with hold(out):
        if (out / RUN).exists():  # perhaps begun since by another command
            check_same(out, read_json(out / RUN), run)
        else:
            write_json(out / RUN, run)
        remove_left_overs(out)
        history = _train(trainer, parts["validation"], out, on_progress)
        with write_folder(out / MODEL) as partial:
            trainer.objective.model.save_pretrained(partial)
        result = _describe(recipe, settings, trainer, history) | {
            "characters": {name: len(part) for name, part in parts.items()},
            "seed": seed,
            "data": str(data),
        }
        write_json(out / RESULT, result)
    return result


def _describe(recipe: Recipe, settings: Settings, trainer: Any, history: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "bits_per_character": {"validation": history["evaluations"][-1]["bits_per_character"]},
        "steps": settings.ends[-1],
        "parameters": sum(p.numel() for p in trainer.objective.model.parameters()),
        "stages": history["evaluations"],
        "cpu_seconds": trainer.cpu_seconds,
        "seconds": trainer.seconds,
        "peak_memory_bytes": history["peak_memory_bytes"],
        "settings": as_dict(settings),
        **where_it_ran(trainer.objective.model.device),
    }


def make_trainer(
    text: Text, settings: Settings, out: Path, seed: int, device: str | None, on_progress: OnProgress | None = None
) -> Any:
    """The training loop of a new model.

    Raises:
        ValueError: there is no such model, or the text is too short for a stage.
    """
    import torch

    from longspan.charlm.objective import NextCharacters, StagedTrainer, build_model, make_optimizers
    from longspan.predict.loading import find_device
    from longspan.train.loop import Schedule

    torch.manual_seed(seed)
    model = build_model(settings).to(find_device(device))
    objective = NextCharacters(model, text, settings, seed)
    steps = settings.ends[-1]
    schedule = Schedule(steps=steps, clip=settings.clip, average=0.0, seed=seed)
    on_step: Callable[[int, float], None] | None = None
    if on_progress is not None:
        tell = on_progress

        def on_step(step: int, loss: float) -> None:
            tell("train", step, steps, {"loss": loss / math.log(2)})

    return StagedTrainer(objective, schedule, out, make_optimizers(model, settings), on_step)


def _train(trainer: Any, validation: Text, out: Path, on_progress: OnProgress | None) -> dict[str, Any]:
    """Train stage by stage; after each one, a part of the validation text is scored."""
    from longspan.charlm.evaluating import evaluate
    from longspan.train.loop import check_finite

    settings, model = trainer.objective.settings, trainer.objective.model
    history = read_history(out / HISTORY)
    done = {line["step"] for line in history["evaluations"]}

    def tell(scored: int, total: int) -> None:
        if on_progress is not None:
            on_progress("evaluate", scored, total, {})

    for stage, end in zip(settings.stages, settings.ends, strict=True):
        # a run that was killed goes on from its checkpoint, which is not behind the last evaluation that counts
        trainer.run(until=end)
        if end in done:
            continue
        model.set_attention_window(stage.window)
        found = evaluate(model, validation, length=None, limit=settings.validate, on_characters=tell)
        check_finite(f"the validation score after {end} steps", found["bits_per_character"])
        history["evaluations"].append(
            {
                "step": end,
                "bits_per_character": found["bits_per_character"],
                "characters": found["characters"],
                "cpu_seconds": trainer.cpu_seconds,
                "seconds": trainer.seconds,
            }
        )
        add_peak(history, peak_memory())
        write_json(out / HISTORY, history)
    return history
