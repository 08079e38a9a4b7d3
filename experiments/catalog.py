"""The experiments: which recipe, which figures are shown, and what others reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longspan.tasks.registry import make_task
from longspan.tasks.task import Task
from longspan.train.recipe import Recipe, read_recipe
from longspan.train.sources import Skipped, Sources

from .data import Parts

RECIPES = Path(__file__).parent / "recipes"

LONGFORMER_PAPER = "Beltagy and others, 2020"
NYSTROMFORMER_PAPER = "Xiong and others, 2021"


@dataclass(frozen=True)
class Published:
    """A figure of a paper.

    Attributes:
        model: as the paper calls it.
        score: in percent, of ``metric``.
        source: the paper.
    """

    model: str
    metric: str
    score: float
    source: str


@dataclass(frozen=True)
class Experiment:
    """One data set as it is used here.

    Attributes:
        name: a key of ``data.SOURCES``.
        title: what a reader knows it by.
        metrics: the figures shown, the one that decides first.
        shipped: whether the recipe ships with longspan, or is one of small new weights in the folder ``recipes``.
        seeds: the runs; where a data set is split here, a seed is also the number of the split.
        percent: whether the task's scores are in percent already.
        published: figures of papers, of models pretrained at scale.
    """

    name: str
    title: str
    metrics: tuple[str, ...]
    shipped: bool = False
    seeds: tuple[int, ...] = (0,)
    percent: bool = False
    published: tuple[Published, ...] = ()

    def recipe_name(self) -> str:
        """What ``longspan train --recipe`` is given."""
        return self.name if self.shipped else str((RECIPES / f"{self.name}.yaml").relative_to(RECIPES.parent.parent))

    def recipe(self) -> Recipe:
        """The recipe."""
        return read_recipe(self.name if self.shipped else str(RECIPES / f"{self.name}.yaml"))


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "imdb",
            "IMDb",
            ("accuracy",),
            shipped=True,
            published=(
                Published("Longformer-base", "accuracy", 95.7, LONGFORMER_PAPER),
                Published("Nyströmformer-base", "accuracy", 93.2, NYSTROMFORMER_PAPER),
            ),
        ),
        Experiment(
            "hyperpartisan",
            "Hyperpartisan",
            ("f1", "accuracy"),
            seeds=(0, 1, 2, 3, 4),
            published=(Published("Longformer-base", "f1", 94.8, LONGFORMER_PAPER),),
        ),
        Experiment("contract-nli", "ContractNLI", ("accuracy", "f1_macro")),
        Experiment("squad-articles", "SQuAD v1.1, whole articles", ("f1", "exact"), percent=True),
        Experiment("cola", "GLUE CoLA", ("matthews",)),
        Experiment("rte", "GLUE RTE", ("accuracy",)),
        Experiment(
            "mrpc",
            "GLUE MRPC",
            ("f1", "accuracy"),
            published=(Published("Nyströmformer-base", "f1", 88.1, NYSTROMFORMER_PAPER),),
        ),
        Experiment(
            "sst-2",
            "GLUE SST-2",
            ("accuracy",),
            published=(Published("Nyströmformer-base", "accuracy", 91.4, NYSTROMFORMER_PAPER),),
        ),
        Experiment("sts-b", "GLUE STS-B", ("pearson", "spearman")),
        Experiment("wnli", "GLUE WNLI", ("accuracy",)),
        Experiment("wnut17", "WNUT-17", ("f1",)),
    )
}


@dataclass(frozen=True)
class Examples:
    """A task and its examples, read as ``longspan train`` and ``longspan evaluate`` read them."""

    task: Task[Any]
    train: list[Any]
    validation: list[Any]
    test: list[Any]
    skipped: int

    def counts(self) -> dict[str, int]:
        """Examples of each part, and bad rows that were left out of all."""
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "skipped": self.skipped,
        }


def read_examples(recipe: Recipe, parts: Parts, seed: int) -> Examples:
    """The examples of each part; the same are held out for validation as ``longspan train`` holds out with the seed.

    Raises:
        DataError: a file cannot be used.
        OSError: a file cannot be opened.
    """
    skipped = Skipped()
    task = make_task(recipe.task, recipe.options)
    holdout = 0.0 if parts.validation else float(recipe.arguments.get("holdout", 0.0))
    layout = parts.layout or recipe.layout
    learnt = Sources(
        str(parts.train), None if parts.validation is None else str(parts.validation), layout, True, holdout, seed
    )
    asked = Sources(str(parts.test), None, layout, True, 0.0, seed)
    train = list(learnt.read(task, "train", skipped))
    task.learn(train)
    # of a held-out share the bad rows were counted with the training examples
    validation = list(learnt.read(task, "validation", skipped if parts.validation else None))
    return Examples(task, train, validation, list(asked.read(task, "train", skipped)), skipped.count)
