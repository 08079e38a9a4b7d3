"""What the checks of the Keras classes share: their register, tiny models and documents.

Only for processes whose first argument is a folder of :mod:`tests.keras.references`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from longspan import keras as lk

BACKEND = keras.backend.backend()
REFERENCES = Path(sys.argv[1])
CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS[function.__name__] = function
    return function


def load(name: str, case: str = "ragged", **kwargs: Any) -> Any:
    return getattr(lk, f"TF{name}").from_pretrained(REFERENCES / case / name, **kwargs)


def classifier(**kwargs: Any) -> Any:
    """A model without dropout from the same weights each time, of one layer: compilers take long."""
    return load("LongformerForSequenceClassification", num_hidden_layers=1, attention_window=8, **kwargs)


def rows(count: int = 4, length: int = 40, seed: int = 0) -> dict[str, np.ndarray]:
    """Documents whose class is told by the word that fills them, the last fifth of each row padding."""
    random = np.random.default_rng(seed)
    ids = random.integers(5, 60, (count, length))
    ids[:, 1:20] = np.where(np.arange(count)[:, None] % 2, 7, 9)
    mask = (np.arange(length) < length * 4 // 5).astype("int64").repeat(count).reshape(length, count).T
    return {"input_ids": np.where(mask == 1, ids, 1), "attention_mask": mask}


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    a, b = (keras.ops.convert_to_numpy(x) for x in (a, b))
    assert a.shape == b.shape and np.abs(a - b).max() <= tolerance, np.abs(a - b).max()


def raises(message: str, function: Callable[[], Any], kinds: Any = (ValueError, TypeError)) -> None:
    try:
        function()
    except kinds as error:
        assert message in str(error), error
    else:
        raise AssertionError(f"nothing said {message!r}")
