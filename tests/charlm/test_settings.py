"""Settings, stages and recipes: rates, checks, and what ships."""

import math
from pathlib import Path

import pytest

from longspan.charlm.objective import build_model
from longspan.charlm.recipe import FOLDER, list_recipes, read_recipe
from longspan.charlm.settings import make_settings
from tests.charlm.toys import SETTINGS, STAGES

ROOT = Path(__file__).parents[2]


def test_stages_and_rates():
    settings = make_settings({**SETTINGS, "warmup": 0.1, "warmup_most": 5}, STAGES, {})
    assert settings.ends == [90, 120]
    assert [settings.stage_at(step) for step in (0, 89, 90, 119)] == [(0, 0), (0, 89), (1, 0), (1, 29)]
    # each stage warms up, at most 5 steps, and then keeps its rate
    shares = [settings.rate(step) for step in (0, 4, 5, 89, 90, 92, 119)]
    assert shares == pytest.approx([1 / 5, 1, 1, 1, 0.5 / 3, 0.5, 0.5])


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes(name):
    recipe = read_recipe(name)
    settings = make_settings(recipe.settings, recipe.stages, {})
    assert recipe.about.endswith(".") and recipe.cost and recipe.source
    assert f"--recipe {name}" in recipe.command and recipe.command.startswith("longspan charlm train")
    assert f"`{name}`" in (ROOT / "docs" / "charlm.md").read_text(encoding="utf-8")
    for earlier, later in zip(settings.stages, settings.stages[1:], strict=False):
        assert later.lr == earlier.lr / 2 and later.length <= 2 * earlier.length
        assert later.window == [2 * window for window in earlier.window]
    assert all(stage.window == sorted(stage.window) for stage in settings.stages)
    small = make_settings(recipe.settings, recipe.stages, {"width": 8 * settings.heads, "hidden": 8})
    assert build_model(small).config.attention_window == settings.stages[-1].window


def test_numbers_as_yaml_reads_them():
    """1e-2 without a point is a text to YAML, and 1 is no float."""
    settings = make_settings({**SETTINGS, "clip": "1e-2"}, [{**STAGES[0], "lr": 1}], {})
    assert settings.clip == 0.01 and settings.stages[0].lr == 1.0
    with pytest.raises(ValueError, match="clip must be above 0, got nan"):
        make_settings({**SETTINGS, "clip": "nan"}, STAGES, {})


def test_the_papers_recipes():
    for name in ("enwik8", "text8"):
        recipe = read_recipe(name)
        settings = make_settings(recipe.settings, recipe.stages, {})
        assert recipe.characters == 10**8
        assert [s.steps for s in settings.stages] == [430_000, 50_000, 50_000, 35_000, 5_000]
        assert [s.length for s in settings.stages] == [2048, 4096, 8192, 16_384, 23_040]
        assert settings.stages[0].lr == 2.5e-4 and settings.stages[-1].lr == 1.5625e-5
        assert settings.stages[0].window[0] == 32 and settings.stages[-1].window[-1] == 8192
        assert sum(p.numel() for p in build_model(settings).parameters()) == pytest.approx(38e6, rel=0.01)


def test_the_recipe_of_the_documentation(tmp_path):
    page = (ROOT / "docs" / "charlm.md").read_text(encoding="utf-8")
    (tmp_path / "notes.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    recipe = read_recipe(str(tmp_path / "notes.yaml"))
    build_model(make_settings(recipe.settings, recipe.stages, {}))


def test_recipes_are_in_the_wheel():
    assert FOLDER.parent.name == "charlm" and (FOLDER / "enwik8.yaml").is_file()


@pytest.mark.parametrize(
    ("changes", "stages", "error", "message"),
    [
        ({"depth": 3}, STAGES, ValueError, "there is no setting depth; there are layers"),
        ({"layers": 0}, STAGES, ValueError, "layers must be at least 1, got 0"),
        ({"heads": 3}, STAGES, ValueError, "width must be a multiple of twice the heads, got 32 and 3"),
        ({"width": 6}, STAGES, ValueError, "width must be a multiple of twice the heads, got 6 and 2"),
        ({"layers": 2.5}, STAGES, TypeError, r"layers must be of type int, got 2\.5"),
        ({"dropout": 1.0}, STAGES, ValueError, "dropout must be at least 0 and below 1"),
        ({"clip": 0.0}, STAGES, ValueError, "clip must be above 0"),
        ({"optimizer": "sgd"}, STAGES, ValueError, "optimizer must be one of adamw, muon, got 'sgd'"),
        ({"dilation": "2"}, STAGES, TypeError, "dilation must be of type int or list, got '2'"),
        ({}, [], ValueError, "stages must be a list of at least one"),
        ({}, [{"steps": 1}], ValueError, "stage 1 must have steps, length, batch, lr, window, got {'steps': 1}"),
        ({}, [{**STAGES[0], "steps": 0}], ValueError, "steps of stage 1 must be at least 1, got 0"),
        ({}, [STAGES[0], {**STAGES[1], "lr": 0}], ValueError, r"lr of stage 2 must be a number above 0, got 0\.0"),
        ({}, [{**STAGES[0], "length": "64"}], TypeError, "length of stage 1 must be of type int, got '64'"),
    ],
)
def test_settings_that_are_refused(changes, stages, error, message):
    with pytest.raises(error, match=message):
        make_settings(SETTINGS, stages, changes)


@pytest.mark.parametrize(
    ("changes", "stage", "message"),
    [
        ({"dilation": [1, 0]}, {}, "dilation must be at least 1"),
        ({}, {"window": [1, 2, 3]}, r"attention_window must be an int or a list with one per layer \(2\)"),
    ],
)
def test_models_that_are_refused(changes, stage, message):
    with pytest.raises(ValueError, match=message):
        build_model(make_settings({**SETTINGS, **changes}, [{**STAGES[0], **stage}, STAGES[1]], {}))


GOOD = "about: A.\ncommand: c\ncost: none\nexpected: {}\nsource: nobody\nstages: []\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "must be a mapping"),
        ("a: [", "while parsing"),
        (GOOD + "colour: red\n", "has no key colour"),
        ("about: A.\n", "lacks command, cost, source, expected, stages"),
        (GOOD.replace("none", "3"), "cost must be of type str, got 3"),
        (GOOD + "characters: many\n", "characters must be of type int, got 'many'"),
        (GOOD, r"mine\.yaml: stages must be a list of at least one"),
        (GOOD + "validation: x\n", "validation must be of type float, got 'x'"),
        (GOOD.replace("[]", "{}"), "stages must be of type list"),
    ],
)
def test_files_that_are_no_recipe(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_recipe(str(path))
    assert str(path) in str(caught.value)
    with pytest.raises(ValueError, match="there is no recipe 'poetry', nor such a file; the recipes are enwik8"):
        read_recipe("poetry")


def test_infinite_numbers_are_no_rates():
    for lr in (-math.inf, math.inf, math.nan):
        with pytest.raises(ValueError, match="lr of stage 1 must be a number above 0"):
            make_settings(SETTINGS, [{**STAGES[0], "lr": lr}], {})
    for name in ("clip", "weight_decay", "dropout"):
        with pytest.raises(ValueError, match=f"{name} must be .*, got nan"):
            make_settings(SETTINGS, STAGES, {name: math.nan})
