"""Every shipped recipe can be run as it says; a file that is no recipe is named with what is wrong."""

import shlex
from pathlib import Path

import pytest
import typer

from longspan.cli.main import app
from longspan.tasks.registry import make_task
from longspan.train.arguments import Arguments
from longspan.train.recipe import FOLDER, list_recipes, read_recipe

pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]


def parse(command):
    """What the command line makes of a command, without running it."""
    words = shlex.split(command)
    assert words[:2] == ["longspan", "train"]
    train = typer.main.get_command(app).commands["train"]
    return train.make_context("train", words[2:]).params


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes(name):
    recipe = read_recipe(name)
    given = parse(recipe.command)
    assert given["recipe"] == name and given["task"] == recipe.task
    assert given["model"] or recipe.scratch
    Arguments.from_dict(recipe.arguments)
    task = make_task(recipe.task, recipe.options)
    assert {**task.options(), **recipe.options} == task.options()
    assert recipe.about.endswith(".") and recipe.cost
    # a recipe chooses by a validation part, never by what it is tested on
    assert given["validation"] or recipe.arguments.get("holdout", 0) > 0
    assert "test" not in Path(given["data"]).name


def test_there_are_recipes_and_they_are_in_the_wheel():
    assert len(list_recipes()) >= 8
    assert FOLDER.parent.name == "train" and (FOLDER / f"{list_recipes()[0]}.yaml").is_file()


def test_the_documentation_lists_them():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in list_recipes())


GOOD = "about: A.\ncommand: longspan train mlm\ncost: none\nexpected: {}\nsource: nobody\ntask: mlm\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "must be a mapping"),
        ("a: [", "while parsing"),
        (GOOD + "colour: red\n", "has no key colour"),
        ("about: A.\n", "lacks command, cost, expected, source, task"),
        (GOOD.replace("task: mlm", "task: poetry"), "task must be one of classify, choose"),
        (GOOD.replace("none", "3"), "cost must be a text, got 3"),
        (GOOD.replace("{}", "{f1: high}"), "expected f1 must be a number, got 'high'"),
        (GOOD + "arguments: {lr: 5e-5}\n", "write 5.0e-5"),
        (GOOD + "arguments: {rate: 1.0}\n", "there is no argument rate"),
        (GOOD + "family: bert\n", "family must be one of longformer, nystromformer"),
        (GOOD + "options: [1]\n", "options must be a mapping"),
    ],
)
def test_files_that_are_no_recipe(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_recipe(str(path))
    assert str(path) in str(caught.value)


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + "arguments: {lr: 1.0e-4}\n")
    recipe = read_recipe(str(path))
    assert (recipe.name, recipe.arguments) == ("mine", {"lr": 1e-4})


def test_an_unknown_name():
    with pytest.raises(ValueError, match=r"there is no recipe 'poetry', nor such a file; the recipes are .*imdb"):
        read_recipe("poetry")
