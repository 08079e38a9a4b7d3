"""The figures by which labels are compared with the right ones; scikit-learn and scipy compute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

SCORES = {
    "single": ("accuracy", "f1", "f1_macro", "f1_micro", "matthews"),
    "multi": ("f1_micro", "f1_macro", "accuracy"),
    "regression": ("pearson", "spearman", "mse"),
}
"""Figures of each kind of problem, the one by which checkpoints are compared by default first."""

LOWER_IS_BETTER = frozenset({"mse"})


def score_classes(gold: Sequence[int], predicted: Sequence[int], n_classes: int) -> dict[str, float]:
    """Accuracy, F1 and Matthews' correlation of one class each.

    F1 is the mean over the classes that occur ("f1_macro"), over all decisions ("f1_micro", equal to the accuracy), and
    that of the second of two classes ("f1"). A correlation without any variation is 0.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    scores = {
        "accuracy": accuracy_score(gold, predicted),
        "f1_macro": f1_score(gold, predicted, average="macro", zero_division=0),
        "f1_micro": f1_score(gold, predicted, average="micro", zero_division=0),
        "matthews": matthews_corrcoef(gold, predicted) if len({*gold, *predicted}) > 1 else 0.0,
    }
    if n_classes == 2:
        scores["f1"] = f1_score(gold, predicted, labels=[1], average="macro", zero_division=0)
    return _plain(scores)


def score_class_sets(gold: Sequence[Sequence[int]], predicted: Sequence[Sequence[int]], n: int) -> dict[str, float]:
    """F1 of any number of classes each, and how often all of them are right ("accuracy")."""
    from sklearn.metrics import accuracy_score, f1_score

    marks = [_marks(rows, n) for rows in (gold, predicted)]
    return _plain(
        {
            "f1_micro": f1_score(*marks, average="micro", zero_division=0),
            "f1_macro": f1_score(*marks, average="macro", zero_division=0),
            "accuracy": accuracy_score(*marks),
        }
    )


def score_numbers(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, float]:
    """Pearson's and Spearman's correlation, 0 where either side is constant, and the mean squared error."""
    from scipy.stats import pearsonr, spearmanr

    a, b = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    varied = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
    return _plain(
        {
            "pearson": pearsonr(a, b).statistic if varied else 0.0,
            "spearman": spearmanr(a, b).statistic if varied else 0.0,
            "mse": np.square(a - b).mean(),
        }
    )


def _marks(rows: Sequence[Sequence[int]], n: int) -> np.ndarray:
    marks = np.zeros((len(rows), n), dtype=np.int64)
    for mark, classes in zip(marks, rows, strict=True):
        mark[list(classes)] = 1
    return marks


def _plain(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items()}
