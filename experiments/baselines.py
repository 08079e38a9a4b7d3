"""Plain baselines of the experiments: settings chosen on validation examples, each tested once.

LONGSPAN_DATA=... python -m experiments.baselines imdb hyperpartisan ...
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import bag_of_words, overlap, word_tags
from .catalog import EXPERIMENTS, Examples, read_examples
from .data import prepare
from .results import FOLDER, commit, write_result

Predict = Callable[[Sequence[Any]], list[dict[str, Any]]]
"""From examples to predictions."""

Learn = Callable[[Any], Predict]
"""From a setting to what predicts under it."""


def main(argv: list[str] | None = None) -> None:
    """Run the baselines of the named experiments."""
    parser = argparse.ArgumentParser(prog="python -m experiments.baselines", description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(EXPERIMENTS), metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--made", type=Path, default=Path("runs/data"), help="folder for unpacked and split data")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder for the result files")
    arguments = parser.parse_args(argv)
    code = commit()
    for name in arguments.names:
        experiment = EXPERIMENTS[name]
        runs, counts = [], {}
        for seed in experiment.seeds:
            parts = prepare(name, arguments.made, seed)
            examples = read_examples(experiment.recipe(), parts, seed)
            counts = examples.counts()
            for run in run_baselines(examples, seed):
                runs.append(run)
                shown = ", ".join(f"{m} {run['test'][m]:.4f}" for m in experiment.metrics if m in run["test"])
                print(f"{name} seed {seed} {run['system']}: {shown} {run['setting']}", flush=True)
        command = f"python -m experiments.baselines {name}"
        print(write_result(name, "baselines", command, runs, code, arguments.results, rows=counts))


def run_baselines(examples: Examples, seed: int) -> list[dict[str, Any]]:
    """The runs of all baselines of the examples' task."""
    kinds = {"classify": _classify, "tag": _tag, "answer": _answer}
    return kinds[examples.task.name](examples, seed)


def _classify(examples: Examples, seed: int) -> list[dict[str, Any]]:
    regression = examples.task.settings()["problem_type"] == "regression"
    runs = [_run(examples, "mean" if regression else "majority", seed, [""], _constant(regression, False))]
    if bag_of_words.repeats(examples.train):
        runs.append(_run(examples, "majority of each hypothesis", seed, [""], _constant(regression, True)))
    settings = bag_of_words.settings(examples.train, regression)
    name = "TF-IDF, ridge regression" if regression else "TF-IDF, logistic regression"
    runs.append(_run(examples, name, seed, settings, lambda train: bag_of_words.Learner(train, regression, seed)))
    return runs


def _tag(examples: Examples, seed: int) -> list[dict[str, Any]]:
    def frequent(train: Sequence[Any]) -> Learn:
        return lambda setting: word_tags.FrequentTag().fit(train).predict

    def classifier(train: Sequence[Any]) -> Learn:
        return lambda strength: word_tags.WordClassifier(strength, seed).fit(train).predict

    return [
        _run(examples, "most frequent tag of a word", seed, [""], frequent),
        _run(examples, "word features, logistic regression", seed, word_tags.STRENGTHS, classifier),
    ]


def _answer(examples: Examples, seed: int) -> list[dict[str, Any]]:
    def learn(train: Sequence[Any]) -> Learn:
        return lambda setting: lambda asked: overlap.predict(asked, setting)

    return [_run(examples, "overlap of words", seed, overlap.SETTINGS, learn)]


def _constant(regression: bool, by_text: bool) -> Callable[[Sequence[Any]], Learn]:
    """The most frequent label, or the mean, of all training examples or of those with the same first text."""

    def learn(train: Sequence[Any]) -> Learn:
        groups: dict[str, list[Any]] = {}
        for example in train:
            groups.setdefault(example.text if by_text else "", []).append(example.label)
        labels = {
            key: statistics.fmean(map(float, found)) if regression else Counter(found).most_common(1)[0][0]
            for key, found in groups.items()
        }
        return lambda _: lambda asked: [{"id": x.id, "label": labels[x.text if by_text else ""]} for x in asked]

    return learn


def _run(
    examples: Examples, system: str, seed: int, settings: Sequence[Any], learner: Callable[[Sequence[Any]], Learn]
) -> dict[str, Any]:
    """Choose a setting on the validation examples, learn from these too, and test once."""
    began = time.process_time()
    learn, found = learner(examples.train), []
    for setting in settings:
        found.append(examples.task.score(examples.validation, learn(setting)(examples.validation)))
    metric, sign = examples.task.metric, 1 if examples.task.greater_is_better else -1
    best = max(range(len(settings)), key=lambda i: sign * found[i][metric])
    predict = learner(examples.train + examples.validation)(settings[best])
    chosen = settings[best]
    return {
        "system": system,
        "seed": seed,
        "setting": dataclasses.asdict(chosen) if dataclasses.is_dataclass(chosen) else chosen,
        "tried": len(settings),
        "validation": found[best],
        "test": examples.task.score(examples.test, predict(examples.test)),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


if __name__ == "__main__":
    main()
