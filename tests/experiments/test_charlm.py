from __future__ import annotations

import json
import shutil

import pytest
import yaml

from experiments import charlm
from experiments.charlm import VARIANTS, _time_share, main, vary
from experiments.charlm_plot import gains_of
from longspan.charlm.recipe import read_recipe
from longspan.charlm.settings import make_settings
from tests.charlm.toys import SETTINGS, STAGES, make_recipe, write_text


def test_variants_of_the_recipe():
    recipe = read_recipe("small")
    varied = {name: vary(recipe, name) for name in VARIANTS}
    assert varied["longformer"].stages == recipe.stages
    for name, other in varied.items():
        make_settings(other.settings, other.stages, {})
        assert [s["steps"] for s in other.stages] == [s["steps"] for s in recipe.stages]
        assert (other.settings["dilation"] == 1) is (name in ("no-dilation", "full"))
    assert varied["mild"].settings["dilation"] == [1, 1, *[[1, 1, 1, 2]] * 4]
    for stage, fixed, full in zip(recipe.stages, varied["fixed"].stages, varied["full"].stages, strict=True):
        assert abs(6 * fixed["window"] - sum(stage["window"])) <= 6
        assert full["window"] == 2 * stage["length"]


def test_full_attention_gets_the_same_time():
    recipe = make_recipe()
    share = _time_share({"longformer": [1.0, 2.0], "full": [2.0, 6.0]}, recipe)
    assert share == pytest.approx((90 + 30 * 2) / (90 * 2 + 30 * 6))
    assert [s["steps"] for s in vary(recipe, "full", share).stages] == [38, 12]


def test_gains_are_of_the_same_places():
    means, errors = gains_of([{"at_each_place": [2.0, 3.0]}, {"at_each_place": [1.5, 2.0]}])
    assert means == [0.0, -0.75] and errors == [0.0, pytest.approx(0.25)]


def test_the_whole_experiment_at_a_small_size(tmp_path, monkeypatch):
    write_text(tmp_path / "words.txt", 8000)
    stages = [{**STAGES[0], "steps": 2}, {**STAGES[1], "steps": 1}]
    recipe = {"about": "A.", "command": "c", "cost": "none", "expected": {}, "source": "nobody"}
    recipe |= {"test": 0.3, "settings": SETTINGS, "stages": stages}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setenv("LONGSPAN_DATA", str(tmp_path))
    monkeypatch.setattr(charlm, "TEXTS", {"words": ("words.txt", 1.0)})
    monkeypatch.setattr(charlm, "LENGTH", 512)
    monkeypatch.setattr(charlm, "LENGTHS", (64, 512))
    monkeypatch.setattr(charlm, "STEP", 32)
    monkeypatch.setattr(charlm, "SCORED", 64)
    monkeypatch.setattr(charlm, "PLACES", 2)
    arguments = ["words", "--recipe", str(tmp_path / "toy.yaml"), "--runs", str(tmp_path / "runs")]
    arguments += ["--results", str(tmp_path), "--images", str(tmp_path)]
    main([*arguments, "--only", "longformer"])
    main(arguments)
    result = json.loads((tmp_path / "charlm-words.json").read_text())
    assert list(result["variants"]) == list(VARIANTS)
    for name, run in result["variants"].items():
        # full attention no further than the longest text of training
        assert [x["length"] for x in run["contexts"]] == ([64] if name == "full" else [64, 512])
        assert run["test"]["characters"] == 2399 and run["commit"] and run["machine"]
    assert (tmp_path / "charlm-words.png").stat().st_size > 10_000
    monkeypatch.setattr(charlm, "train", None)  # nothing is done twice
    shutil.rmtree(tmp_path / "runs")
    main(arguments)
    assert json.loads((tmp_path / "charlm-words.json").read_text()) == result
    with pytest.raises(ValueError, match="a result of seed 0"):
        main([*arguments, "--seed", "1"])
    recipe["settings"] = {**SETTINGS, "width": 16}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(ValueError, match=r"charlm-words\.json: longformer is of another recipe"):
        main(arguments)
