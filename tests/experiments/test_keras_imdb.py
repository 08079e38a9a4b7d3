"""The comparison of `fit` with a torch loop, at a tiny size."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from experiments.keras_imdb import draw, run, write_data
from experiments.keras_imdb_training import Plan
from experiments.results import FOLDER
from longspan.tasks.examples import Source, TextExample

SIZES = {"vocabulary": 300, "tokens": 24, "layers": 1, "width": 16, "heads": 2, "window": 8}
PLAN = Plan(train=24, validation=12, batch=4, epochs=2, lr=1e-2, **SIZES)
PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


def rows(count=40):
    words = [("dull", "fine")[i % 2] for i in range(count)]
    long = "film number {} has neither plot nor point, only jokes."
    texts = [f"{word}." if i % 3 else f"This {word} {long.format(i)}" for i, word in enumerate(words)]
    return [TextExample(str(i), Source("x", i), text, label=("neg", "pos")[i % 2]) for i, text in enumerate(texts)]


def test_data_are_drawn_apart_cut_and_masked(tmp_path):
    train, validation = draw(rows(), 0, PLAN)
    assert (len(train), len(validation)) == (24, 12)
    assert not {x.id for x in train} & {x.id for x in validation}
    texts = write_data((train, validation), 0, tmp_path, PLAN)
    data = np.load(tmp_path / "data.npz")
    for name, examples, cut in zip(("train", "validation"), (train, validation), texts, strict=True):
        ids, mask = data[f"{name}_ids"], data[f"{name}_mask"]
        assert ids.shape == mask.shape == (len(examples), PLAN.tokens)
        assert (ids[:, 0] == 0).all() and ((ids == 1) == (mask == 0)).all()
        assert (ids[np.arange(len(ids)), mask.sum(1) - 1] == 2).all()  # the end, also of a text that was cut
        assert all(x.text.startswith(text) for x, text in zip(examples, cut, strict=True))
        assert any(x.text != text for x, text in zip(examples, cut, strict=True)) and any(mask.sum(1) < PLAN.tokens)
        assert data[f"{name}_labels"].tolist() == [int(x.label == "pos") for x in examples]
    assert (np.sort(data["orders"]) == np.arange(24)).all() and (data["orders"][0] != data["orders"][1]).any()


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed (extra tf)")
def test_both_do_the_same(tmp_path):
    found = run(rows(), 1, tmp_path, PLAN)
    ours, theirs = found["tensorflow"], found["torch"]
    assert len(ours["losses"]) == len(theirs["losses"]) == PLAN.steps == 12
    # Keras' own sparse gradients of embeddings would differ by 1e-2
    np.testing.assert_allclose(ours["losses"], theirs["losses"], atol=1e-4)
    assert found["largest_early_loss_difference"] < 1e-4
    assert max(theirs["losses"]) - min(theirs["losses"]) > 0.01  # it moves
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=0.1) and len(ours["accuracy"]) == 2
    assert found["accuracy_difference"] == ours["accuracy"][-1] - theirs["accuracy"][-1]


def test_the_page_says_what_was_found():
    found = json.loads((FOLDER / "keras-imdb.json").read_text(encoding="utf-8"))
    row = [found["majority"], found["words"]["accuracy"], *(found[x]["accuracy"][-1] for x in ("torch", "tensorflow"))]
    assert f"| {' | '.join(f'{100 * x:.1f}' for x in row)} |" in PAGE
    assert abs(found["accuracy_difference"]) <= 0.02 and f"{found['largest_early_loss_difference']:.0e}" in PAGE
