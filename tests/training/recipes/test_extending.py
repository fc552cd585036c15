"""Recipes that are built on others."""

import json

import pytest
import yaml

from tests.training.tiny import DOCUMENT
from training.recipes.extending import PUBLISHED, RECIPES, find_recipe, merged, read_recipe
from training.recipes.loading import load_recipe
from training.training_errors import RecipeError


def write(folder, name, **fields):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


def test_sections_are_merged_field_by_field_and_the_base_stays_as_it_is(tmp_path):
    write(tmp_path, "base", **DOCUMENT)
    path = write(tmp_path, "mine", extends="base", optimizer={"learning_rate": 0.5}, validation={"cases": 3})
    recipe, base = load_recipe(str(path)), load_recipe(str(tmp_path / "base.yaml"))
    assert (recipe.optimizer.kind, recipe.optimizer.learning_rate) == ("adamw", 0.5)
    assert (recipe.validation.cases, recipe.validation.every_steps) == (3, 4)
    assert recipe.name == "tiny"
    assert (base.optimizer.learning_rate, base.validation.cases) == (0.01, 1)


def test_a_section_of_another_kind_takes_the_place_of_the_whole():
    base = {"optimizer": {"kind": "adamw", "weight_decay": 1}, "patch_zyx": [1, 2, 3]}
    changes = {"optimizer": {"kind": "sgd"}, "patch_zyx": [4]}
    assert merged(base, changes) == changes


def test_a_chain_and_several_bases_of_which_the_later_ones_win(tmp_path):
    write(tmp_path, "base", **DOCUMENT)
    write(tmp_path, "middle", extends="base", name="middle", modality="MR")
    write(tmp_path, "fast", precision="bf16", modality="CT")
    write(tmp_path, "mine", extends=["middle", "fast"], description="Both.")
    document = read_recipe(tmp_path / "mine.yaml")
    found = [document[name] for name in ("name", "precision", "modality", "description")]
    assert found == ["middle", "bf16", "CT", "Both."]
    assert "extends" not in document


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"a": "a"}, "recipe a.yaml: extends itself (a → a)"),
        ({"a": "b", "b": "c", "c": "a"}, "recipe a.yaml: extends itself (a → b → c → a)"),
        ({"a": "nobody"}, "recipe a.yaml: extends: recipe nobody: no such file, and not one of "),
        ({"a": {"b": 1}}, "recipe a.yaml: extends: must be the name of a recipe, or a list of names"),
        ({"a": [1]}, "recipe a.yaml: extends: must be the name of a recipe, or a list of names"),
    ],
)
def test_what_cannot_be_extended_is_refused_in_one_line(tmp_path, links, message):
    for name, extends in links.items():
        write(tmp_path, name, extends=extends)
    with pytest.raises(RecipeError) as error:
        load_recipe(str(tmp_path / "a.yaml"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_one_base_twice_is_no_circle(tmp_path):
    write(tmp_path, "base", **DOCUMENT)
    for name in ("left", "right"):
        write(tmp_path, name, extends="base")
    write(tmp_path, "both", extends=["left", "right"])
    assert load_recipe(str(tmp_path / "both.yaml")).name == "tiny"


def test_a_label_set_lies_beside_the_recipe_that_names_it(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "labels.json").write_text(json.dumps({"name": "own", "labels": {"lung": 3}}))
    write(tmp_path / "below", "base", **{**DOCUMENT, "label_set": "labels.json"})
    path = write(tmp_path, "mine", extends="below/base.yaml")
    assert load_recipe(str(path)).labels.ids == {"lung": 3}


def test_names_are_those_of_the_recipes_that_come_with_the_program():
    assert find_recipe("demo") == RECIPES / "demo.yaml"
    assert find_recipe("flare22-efficient") == PUBLISHED / "flare22-efficient.yaml"
