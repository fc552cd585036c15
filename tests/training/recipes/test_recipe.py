"""Recipes are read strictly, and every refusal names the field."""

import pytest

from model.labels import FLARE23, merged_channels
from tests.training.tiny import DOCUMENT
from training.recipes.recipe import RECIPES, load_recipe, recipe_from
from training.training_errors import RecipeError


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_published_recipe_is_valid_and_bears_its_file_name(path):
    assert load_recipe(path.stem).name == path.stem


def test_demo_has_the_merged_channels_of_flare23_and_does_not_mirror():
    demo = load_recipe("demo")
    assert demo.channel_names == merged_channels(FLARE23)
    assert demo.network.out_channels == 13
    assert demo.augmentation.flip_axes == ()


def test_demo_fine_can_start_from_demo():
    assert load_recipe("demo-fine").network == load_recipe("demo").network


def test_demo_roi_is_binary():
    assert load_recipe("demo-roi").channel_names == ("background", "foreground")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": {}}, "optimiser: unknown field"),
        ({"optimizer": {"steps": 0}}, "optimizer.steps: must be 1 to 1e+07, is 0"),
        ({"optimizer": {}}, "optimizer.steps: missing"),
        (
            {"optimizer": {"steps": 10, "learning_rate": "fast"}},
            "optimizer.learning_rate: must be float, is str 'fast'",
        ),
        ({"label_set": "flare99"}, "label_set: must be one of"),
        ({"patch_zyx": [16, 16, 15]}, "patch_zyx: must be multiples of 2 for 2 levels"),
        ({"network": {"family": "unet", "out_channels": 5}}, "network.family: must be one of segresnet"),
        (
            {"network": {**DOCUMENT["network"], "out_channels": 4}},
            "network.out_channels: must be 5 for plain flare21, is 4",
        ),
        ({"hu_window": [250, -250]}, "hu_window: lower must be below upper"),
        ({"spacing_zyx_mm": [2, 2]}, "spacing_zyx_mm: must be a list of 3, has 2"),
        (
            {"augmentation": {"slab_voxels": [16, 8]}},
            "augmentation.slab_voxels: must be two whole numbers from 1, the lower first",
        ),
        ({"augmentation": {"flip_axes": ["w"]}}, "augmentation.flip_axes[0]: must be one of z, y, x"),
        ({"loss": {"focal_gamma": -1}}, "loss.focal_gamma: must be 0 to 5, is -1"),
        ({"validation": {"overlap": 1.0}}, "validation.overlap: must be 0 to 0.9, is 1"),
    ],
)
def test_a_faulty_field_is_named(changes, message):
    with pytest.raises(RecipeError) as error:
        recipe_from({**DOCUMENT, **changes})
    assert message in str(error.value)


def test_overrides_replace_fields_and_leave_the_document_alone():
    recipe = recipe_from(
        DOCUMENT, ["optimizer.learning_rate=1e-3", "patch_zyx=[8, 8, 8]", "loss.focal_gamma=0"]
    )
    assert recipe.optimizer.learning_rate == 0.001
    assert recipe.patch_zyx == (8, 8, 8)
    assert recipe.loss.focal_gamma == 0
    assert DOCUMENT["optimizer"]["learning_rate"] == 0.01
    assert "loss" not in DOCUMENT


@pytest.mark.parametrize("override", ["optimizer.learning_rate", "name.first=3", "optimizer.epochs=3"])
def test_a_faulty_override_is_refused(override):
    with pytest.raises(RecipeError):
        recipe_from(DOCUMENT, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [("name: [", "cannot be read as YAML"), ("- a", "must be a mapping"), (None, "no such file")],
)
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecipeError, match=message) as error:
        load_recipe(str(path))
    assert "\n" not in str(error.value)
