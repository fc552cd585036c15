"""Recipes that stand on others."""

import pytest
import yaml

from tests.training.tiny import DOCUMENT
from training.recipes.documents import laid_over
from training.recipes.extending import find_recipe, read_recipe_document
from training.recipes.loading import load_recipe
from training.recipes.recipe_names import known_recipes
from training.training_errors import RecipeError


def write(folder, file, **fields):
    path = folder / f"{file}.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


def test_what_is_not_said_is_taken_from_below(tmp_path):
    write(tmp_path, "base", **DOCUMENT)
    path = write(tmp_path, "upper", extends="base", name="upper", optimizer={"learning_rate": 0.5})
    recipe = load_recipe(str(path))
    assert (recipe.name, recipe.optimizer.learning_rate) == ("upper", 0.5)
    assert recipe.patch_zyx == (16, 16, 16)


def test_several_are_laid_one_over_another(tmp_path):
    write(tmp_path, "one", a=1, b=1, c=1)
    write(tmp_path, "two", extends="one", b=2, c=2)
    write(tmp_path, "other", b=3)
    path = write(tmp_path, "upper", extends=["two", "other.yaml"], d=4)
    assert read_recipe_document(path) == {"a": 1, "b": 3, "c": 2, "d": 4}


@pytest.mark.parametrize(
    ("below", "above", "together"),
    [
        ({"a": {"b": 1, "c": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "x", "c": 2}}, {"a": {"kind": "x", "b": 1, "c": 2}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "y"}}, {"a": {"kind": "y"}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": "fingerprint"}, {"a": [1, 1, 1]}, {"a": [1, 1, 1]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    ],
)
def test_what_two_documents_say_together(below, above, together):
    assert laid_over(below, above) == together


def test_a_circle_is_refused(tmp_path):
    write(tmp_path, "one", extends="two")
    path = write(tmp_path, "two", extends="one")
    with pytest.raises(RecipeError, match=r"^recipe two\.yaml: extends itself \(two → one → two\)$"):
        read_recipe_document(path)


def test_one_recipe_below_two_others_is_no_circle(tmp_path):
    write(tmp_path, "base", a=1)
    for name in ("left", "right"):
        write(tmp_path, name, extends="base")
    assert read_recipe_document(write(tmp_path, "both", extends=["left", "right"])) == {"a": 1}


def test_a_label_set_lies_beside_the_recipe_that_names_it(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "labels.json").write_text('{"name": "own", "labels": {"lung": 3}}')
    write(tmp_path / "below", "base", **{**DOCUMENT, "label_set": "labels.json"})
    path = write(tmp_path, "upper", extends="below/base.yaml")
    assert load_recipe(str(path)).labels.ids == {"lung": 3}


def test_a_recipe_below_that_is_missing_is_named_with_the_one_above(tmp_path):
    path = write(tmp_path, "upper", extends="nothing")
    with pytest.raises(RecipeError, match=r"recipe upper.yaml: extends: recipe nothing: no such file"):
        read_recipe_document(path)


def test_extends_is_a_name_or_names(tmp_path):
    with pytest.raises(RecipeError, match="extends: must be the name of a recipe"):
        read_recipe_document(write(tmp_path, "upper", extends={"a": 1}))


def test_published_recipes_are_found_by_name():
    assert {"demo", "flare23-segresnet", "lamp-seunet-128", "accelerated"} <= set(known_recipes())
    assert find_recipe("flare22-efficient").parent.name == "published"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("defalt", "recipe defalt: no such file or recipe; did you mean default?"),
        ("xyz", "recipe xyz: no such file or recipe, and not one of accelerated, "),
    ],
)
def test_a_recipe_that_is_not_there_is_told_with_those_that_are(name, told):
    with pytest.raises(RecipeError) as error:
        find_recipe(name)
    assert str(error.value).startswith(told)
