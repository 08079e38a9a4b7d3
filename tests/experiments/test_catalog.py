import pytest

from experiments.catalog import EXPERIMENTS, RECIPES, read_examples
from experiments.data import SOURCES, prepare
from longspan.models.presets import SIZES
from longspan.tasks.registry import make_task
from tests.experiments.small_data import write_data


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_data_and_a_recipe(name):
    experiment = EXPERIMENTS[name]
    assert name in SOURCES
    recipe = experiment.recipe()
    task = make_task(recipe.task, recipe.options)
    assert task.metric == experiment.metrics[0] or task.problem == "regression"
    assert experiment.shipped or recipe.scratch in SIZES
    assert recipe.command


def test_every_recipe_is_of_an_experiment():
    assert {path.stem for path in RECIPES.glob("*.yaml")} == {x.name for x in EXPERIMENTS.values() if not x.shipped}


def test_validation_is_held_out_of_the_training_file(tmp_path, monkeypatch):
    monkeypatch.setenv("LONGSPAN_DATA", str(write_data(tmp_path / "data")))
    parts = prepare("rte", tmp_path / "made")
    found = [read_examples(EXPERIMENTS["rte"].recipe(), parts, seed) for seed in (0, 0, 1)]
    for examples in found:
        assert examples.validation and len(examples.train) + len(examples.validation) == 60
        assert not {x.id for x in examples.train} & {x.id for x in examples.validation}
        assert len(examples.test) == 8 and examples.skipped == 0
    assert found[0].validation == found[1].validation != found[2].validation
