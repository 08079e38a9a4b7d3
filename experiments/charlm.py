"""Character language models: growing, dilated windows against the same model without, and bits against the context.

    LONGSPAN_DATA=... python -m experiments.charlm enwiki
    LONGSPAN_DATA=... python -m experiments.charlm enwiki --only full

trains each variant of the recipe `small` (of Shakespeare with fewer steps), scores its test part, evaluates it with
contexts of 256 to 32,256 characters, adds it to ``experiments/results/charlm-<text>.json``, and draws that. A variant
that the file has is not done again, and one that was interrupted goes on: the same command resumes.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longspan.atomic import write_json
from longspan.charlm.evaluating import LENGTH, STEP, evaluate
from longspan.charlm.recipe import Recipe, read_recipe
from longspan.charlm.run import make_trainer, train
from longspan.charlm.settings import as_dict, make_settings
from longspan.charlm.texts import Text, read_text, split_text
from longspan.models.longformer import LongformerForCausalLM

from .charlm_plot import plot
from .data import data_folder
from .results import FOLDER, commit

TEXTS = {
    "enwiki": ("enwiki-sample/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2", 1.0),
    "shakespeare": ("tinyshakespeare/input.txt.xz", 0.4),
}
"""Name -> file in the data folder, and share of the recipe's steps: a short text would be learnt by heart."""

VARIANTS = {
    "longformer": "windows that grow from layer to layer, dilated heads",
    "fixed": "the same window in every layer, of the same mean",
    "mild": "windows that grow, the same heads dilated by 2",
    "no-dilation": "windows that grow, no dilation",
    "full": "full attention, in the same time",
}

LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16_384, LENGTH)
PLACES, SCORED = 16, 1024
"""Places of the test part at which contexts are compared, and characters that are scored at each: the last 512 of a
sequence, or the second half of a short one. Full attention, whose cost grows with the context, is compared up to the
longest text of its training."""

IMAGES = Path(__file__).parent.parent / "docs" / "images"

logger = logging.getLogger("longspan.experiments.charlm")


def main(argv: Sequence[str] | None = None) -> None:
    """Do what is left to do."""
    parser = argparse.ArgumentParser(prog="python -m experiments.charlm", description=__doc__)
    parser.add_argument("text", choices=list(TEXTS))
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="all by default; may be given again")
    parser.add_argument("--recipe", default="small", help="recipe, or its file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="folder of the runs")
    parser.add_argument("--results", type=Path, default=FOLDER)
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--time", action="store_true", help="only print the CPU seconds of a step of each stage")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    file_name, share = TEXTS[arguments.text]
    recipe, data = shorten(read_recipe(arguments.recipe), share), data_folder() / file_name
    chosen = arguments.only or list(VARIANTS)
    if arguments.time:
        for name in chosen:
            print(name, [round(x, 2) for x in time_stages(vary(recipe, name), data)], flush=True)
        return
    folder = arguments.runs / f"charlm-{arguments.text}-{arguments.seed}"
    command = f"python -m experiments.charlm {arguments.text} --seed {arguments.seed}"
    command += "" if arguments.recipe == "small" else f" --recipe {arguments.recipe}"
    head = {"text": arguments.text, "command": command, "seed": arguments.seed}
    file = arguments.results / f"charlm-{arguments.text}.json"
    for name in chosen:
        found = read_variants(file, arguments.seed).get(name)
        if found is None:
            found = run_variant(name, recipe, data, folder, arguments.seed)
        elif found["settings"] != settings_of(vary(recipe, name, found["share_of_steps"])):
            raise ValueError(f"{file}: {name} is of another recipe; give another folder with --results")
        # read again: another process may have added a variant meanwhile
        variants = {**read_variants(file, arguments.seed), name: found}
        result = {**head, "variants": {name: variants[name] for name in VARIANTS if name in variants}}
        write_json(file, result)
        plot(result, arguments.images / f"charlm-{arguments.text}.png")


def read_variants(file: Path, seed: int) -> dict[str, Any]:
    """The variants that a result file has, none where there is no file.

    Raises:
        ValueError: they are of another seed.
    """
    if not file.exists():
        return {}
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if result["seed"] != seed:
        raise ValueError(f"{file}: a result of seed {result['seed']}; give another folder with --results")
    variants: dict[str, Any] = result["variants"]
    return variants


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe as a result has them."""
    return as_dict(make_settings(recipe.settings, recipe.stages, {}))


def shorten(recipe: Recipe, share: float) -> Recipe:
    """The recipe with that share of the steps of each stage."""
    stages = [dict(stage, steps=max(1, round(share * stage["steps"]))) for stage in recipe.stages]
    return replace(recipe, stages=stages)


def vary(recipe: Recipe, name: str, share: float = 1.0) -> Recipe:
    """The recipe of a variant, with that share of the steps of each stage."""
    stages, settings = shorten(recipe, share).stages, dict(recipe.settings)
    for stage in stages:
        if name == "fixed":
            stage["window"] = 2 * round(sum(stage["window"]) / len(stage["window"]) / 2)
        elif name == "full":
            stage["window"] = 2 * stage["length"]
    if name in ("no-dilation", "full"):
        settings["dilation"] = 1
    elif name == "mild":
        settings["dilation"] = _at_most(settings["dilation"], 2)
    return replace(recipe, name=f"{recipe.name} ({name})", stages=stages, settings=settings)


def _at_most(dilation: Any, limit: int) -> Any:
    """A dilation as recipes have it: of all, of each layer, or of each head of some layers."""
    return [_at_most(x, limit) for x in dilation] if isinstance(dilation, list) else min(dilation, limit)


def time_stages(recipe: Recipe, data: Path, repetitions: int = 2) -> list[float]:
    """CPU seconds of a step of each stage: the fewest of some steps, after a first one."""
    settings = make_settings(recipe.settings, recipe.stages, {})
    trainer = make_trainer(split_text(read_text(data))["train"], settings, Path("."), 0, "cpu")
    found = []
    trainer.objective.train()
    for end in settings.ends:
        times = []
        for _ in range(1 + repetitions):
            trainer.step = end - 1
            began = time.process_time()
            trainer.train_step()
            times.append(time.process_time() - began)
        found.append(min(times[1:]))
    return found


def run_variant(name: str, recipe: Recipe, data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Train a variant and score it.

    The steps of full attention are so many fewer that its stages take the CPU time of the growing windows' stages, by
    a timing of both that is kept in the folder.
    """
    code = commit()
    timing = folder / "timing.json"
    if name == "full" and not timing.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(timing, {kind: time_stages(vary(recipe, kind), data) for kind in ("longformer", "full")})
    share = _time_share(json.loads(timing.read_text()), recipe) if name == "full" else 1.0
    logger.info("%s: training, %.3f of the steps", name, share)
    training = train(vary(recipe, name, share), data, folder / name, seed=seed, device="cpu")
    model = LongformerForCausalLM.from_pretrained(folder / name / "model")
    parts = split_text(read_text(data), recipe.validation, recipe.test)
    test = evaluate(model, parts["test"], length=None)
    logger.info("%s: %.4f bits per character of the test part", name, test["bits_per_character"])
    longest = max(stage["length"] for stage in recipe.stages)
    lengths = [length for length in LENGTHS if name != "full" or length <= longest]
    contexts = _contexts(model, parts["test"], lengths, folder / f"{name}-contexts.json", name)
    return {
        "about": VARIANTS[name],
        "test": test,
        "contexts": contexts,
        "share_of_steps": share,
        **{key: value for key, value in training.items() if key not in ("command", "data")},
        "commit": code,
        "machine": _machine(),
    }


def _time_share(timing: Mapping[str, Sequence[float]], recipe: Recipe) -> float:
    costs = [
        sum(stage["steps"] * seconds for stage, seconds in zip(recipe.stages, timing[name], strict=True))
        for name in ("longformer", "full")
    ]
    return min(1.0, costs[0] / costs[1])


def _contexts(
    model: LongformerForCausalLM, text: Text, lengths: Sequence[int], file: Path, name: str
) -> list[dict[str, Any]]:
    """Bits per character of the same characters with each length of sequence."""
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    skip = LENGTH - STEP
    room = len(text) - (skip + SCORED + 1)
    for length in lengths[len(found) :]:
        scores = [
            evaluate(
                model,
                text[place : place + skip + SCORED + 1],
                length=length,
                step=min(STEP, length // 2),
                skip=skip,
            )
            for place in (room * i // (PLACES - 1) for i in range(PLACES))
        ]
        bits = [score["bits_per_character"] for score in scores]
        found.append({"length": length, "bits_per_character": sum(bits) / len(bits), "at_each_place": bits})
        logger.info("%s: %.4f bits with sequences of %d", name, found[-1]["bits_per_character"], length)
        write_json(file, found)
    return found


def _machine() -> dict[str, Any]:
    from benchmarks.machine import machine

    return machine()


if __name__ == "__main__":
    main()
