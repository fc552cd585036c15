"""Recipes are found, changed from the command line, and given the label set that they mean."""

import json

import pytest
import yaml

from model.labels import FLARE21, LabelSet, Pair
from tests.training.tiny import DOCUMENT, NETWORK
from training.recipes.loading import load_recipe, recipe_from
from training.runs.timetable import make_timetable
from training.training_errors import RecipeError

OWN = {
    "name": "own",
    "labels": {"right lung": 3, "left lung": 8, "cyst": 20},
    "pairs": [{"merged": "lung", "right": "right lung", "left": "left lung"}],
    "lesions": ["cyst"],
}
LABELS = LabelSet(
    name="own",
    ids=OWN["labels"],
    pairs=(Pair(merged="lung", right="right lung", left="left lung"),),
    lesions=("cyst",),
)


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_overrides_replace_fields_and_leave_the_document_alone():
    overrides = ["optimizer.learning_rate=1e-3", "patch_zyx=[8, 8, 8]", "inference.tiling.skip_air=false"]
    recipe = recipe_from(DOCUMENT, overrides)
    assert recipe.optimizer.learning_rate == 0.001
    assert recipe.patch_zyx == (8, 8, 8)
    assert recipe.inference.tiling.skip_air is False
    assert DOCUMENT["optimizer"]["learning_rate"] == 0.01
    assert "inference" not in DOCUMENT


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("2.5E-4", 0.00025), ("0.5", 0.5), ("1", 1.0), ("1.e-2", 0.01)],
)
def test_numbers_are_read_as_people_write_them(text, value):
    assert recipe_from(DOCUMENT, [f"optimizer.learning_rate={text}"]).optimizer.learning_rate == value


FOLLOWS = "optimizer.batch_rule=square_root"


def test_a_rate_that_follows_a_batch_that_is_found_says_from_which_size():
    found = ["sampling.batch_size=auto", FOLLOWS]
    message = "^optimizer.stated_batch_size: must be stated where batch_rule is square_root"
    with pytest.raises(RecipeError, match=message):
        recipe_from(DOCUMENT, found)
    with pytest.raises(RecipeError, match=r"accelerated\.yaml: optimizer\.stated_batch_size: must be"):
        load_recipe("accelerated", [FOLLOWS])
    recipe = load_recipe("accelerated", [FOLLOWS, "optimizer.stated_batch_size=8"])
    # The baseline's batch and rate: four times the patches, twice the rate.
    assert make_timetable(recipe, cases=64, batch_size=32).stages[0].peak == pytest.approx(2 * 0.0002)
    assert recipe_from(DOCUMENT, [*found, "optimizer.stated_batch_size=1"]).optimizer.stated_batch_size == 1


def test_a_batch_size_that_is_stated_needs_no_other():
    assert recipe_from(DOCUMENT, [FOLLOWS, "sampling.batch_size=4"]).optimizer.batch_rule == "square_root"


def test_a_whole_section_can_be_replaced():
    recipe = recipe_from(DOCUMENT, ["loss={terms: [{kind: focal, gamma: 0}]}"])
    assert [term.kind for term in recipe.loss.terms] == ["focal"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.learning_rate", "must read field=value"),
        ("name.first=3", "name has no fields"),
        ("optimizer.epochs=3", "optimizer.epochs: unknown field"),
        ("name=[", r"--set name=\[: a bracket or brace is not closed"),
    ],
)
def test_a_faulty_override_is_refused(override, message):
    with pytest.raises(RecipeError, match=message):
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


def test_a_fault_names_the_recipes_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, "patch_zyx": 3}))
    with pytest.raises(RecipeError, match=r"^recipe mine\.yaml: patch_zyx: must be a list"):
        load_recipe(str(path))


def test_a_label_set_lies_beside_the_recipe(tmp_path):
    write(tmp_path / "recipes" / "labels.json", OWN)
    path = tmp_path / "recipes" / "mine.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, "label_set": "labels.json", "channels": "merged"}))
    recipe = load_recipe(str(path))
    assert recipe.labels == LABELS
    assert recipe.channel_names == ("background", "lung", "cyst")


def test_a_label_set_named_on_the_command_line_lies_where_one_works(tmp_path, monkeypatch):
    write(tmp_path / "labels.json", OWN)
    monkeypatch.chdir(tmp_path)
    overrides = ["label_set=labels.json", "network={kind: segresnet, blocks_down: [1, 1], dsdepth: 1}"]
    assert load_recipe("demo", overrides).channel_names == ("background", "lung", "cyst")


@pytest.mark.parametrize("file", ["labels.json", "dataset.json"])
def test_data_means_the_set_beside_the_data(tmp_path, file):
    write(tmp_path / file, OWN)
    recipe = recipe_from({**DOCUMENT, "label_set": "data"}, data=tmp_path)
    assert recipe.labels == LABELS


def test_a_label_set_written_out_is_taken_as_it_is():
    spelled = {"name": "own", "ids": {"liver": 1}}
    recipe = recipe_from({**DOCUMENT, "label_set": spelled})
    assert recipe.labels == LabelSet(name="own", ids={"liver": 1})


def test_a_built_in_set_stays_a_name():
    recipe = recipe_from(DOCUMENT)
    assert (recipe.label_set, recipe.labels) == ("flare21", FLARE21)


def test_data_without_data_is_refused():
    with pytest.raises(RecipeError, match="label_set: data needs a data-set folder; give one with --data"):
        recipe_from({**DOCUMENT, "label_set": "data"})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "has no labels.json or dataset.json"),
        ({"labels": {"a": 300}}, r"labels\.json: label set .*: id of a is 300"),
        ({"labels": [1]}, r"labels\.json: states no label set"),
        ({**OWN, "lesions": ["wart"]}, "lesion wart is not in the set"),
    ],
)
def test_a_faulty_label_file_is_one_line_alone(tmp_path, document, message):
    if document is not None:
        write(tmp_path / "labels.json", document)
    faulty = {**DOCUMENT, "label_set": "data", "patch_zyx": [8, 8]}
    with pytest.raises(RecipeError, match=rf"^label_set: .*{message}") as error:
        recipe_from(faulty, data=tmp_path)
    assert "\n" not in str(error.value)
    assert "patch_zyx" not in str(error.value)


def test_an_unknown_label_set_is_told_alone():
    """Synthetic cases want structures of it, which cannot be known."""
    with pytest.raises(RecipeError, match=r"^label_set: nosuch: no label set [^;]*; known are [^;]*$"):
        recipe_from(DOCUMENT, ["label_set=nosuch", "synthesis.share=1"])


def test_an_unknown_label_set_says_nothing_about_channels_that_depend_on_it():
    stated = {**DOCUMENT, "label_set": "flare99", "network": {**NETWORK, "out_channels": 77}}
    with pytest.raises(RecipeError) as error:
        recipe_from(stated)
    assert "out_channels" not in str(error.value)


@pytest.mark.parametrize("network", [None, "big", {"kind": "segresnet", "out_channels": "many"}])
def test_a_network_that_is_no_section_is_refused_by_the_schema(network):
    with pytest.raises(RecipeError, match="network"):
        recipe_from({**DOCUMENT, "network": network})
