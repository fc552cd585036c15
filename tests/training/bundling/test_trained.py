"""Which checkpoints make an ensemble, and what is said where they do not."""

import pytest

from tests.training.checkpoints import write_checkpoint
from training.bundling.trained import load_ensemble
from training.training_errors import ExportError, RecipeError


def write(folder, **recipes):
    return {name: write_checkpoint(folder / name, **fields) for name, fields in recipes.items()}


def test_members_may_differ_in_grid_window_and_tiling(tmp_path):
    paths = write(
        tmp_path, one={}, two={"spacing_zyx_mm": [1, 1, 1], "inference": {"tiling": {"overlap": 0}}}
    )
    members, region = load_ensemble([*paths.values()], None)
    assert [member.recipe.inference.tiling.overlap for member in members] == [0.5, 0]
    assert region is None
    assert not any(member.network.training for member in members)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inference": {"fusion": {"kind": "cleaned_groups"}}}, r"another inference\.fusion than .*one"),
        ({"inference": {"clean_up": []}}, r"inference\.clean_up than .*; say which with --set"),
        ({"modality": "MR"}, "was trained with modality MR, the first member with CT"),
        ({"normalize": "before_resampling"}, "was trained with normalize before_resampling"),
        ({"channels": "merged"}, None),
        ({"label_set": "flare22"}, "has other channels than"),
    ],
)
def test_what_a_bundle_says_once_must_be_the_same_in_all_members(tmp_path, fields, message):
    paths = write(tmp_path, one={}, two=fields)
    if message is None:  # FLARE21 has no pairs: merged and plain are the same.
        assert len(load_ensemble([*paths.values()], None)[0]) == 2
        return
    with pytest.raises(ExportError, match=message) as error:
        load_ensemble([*paths.values()], None)
    assert str(paths["two"]) in str(error.value)


def test_overrides_make_members_agree(tmp_path):
    paths = write(tmp_path, one={}, two={"inference": {"clean_up": []}})
    members, _ = load_ensemble([*paths.values()], None, ["inference.clean_up=[]"])
    assert all(member.recipe.inference.clean_up == () for member in members)


def test_overrides_reach_the_network_that_they_are_for(tmp_path):
    paths = write(tmp_path, one={}, region={"channels": "foreground"})
    overrides = ["inference.tiling.overlap=0.1", "inference.localization.skip_outside=true"]
    (member,), region = load_ensemble([paths["one"]], paths["region"], overrides)
    assert member.recipe.inference.tiling.overlap == 0.1
    assert region.recipe.inference.tiling.overlap == 0.5
    assert region.recipe.inference.localization.skip_outside


def test_a_localization_network_of_another_modality_is_refused(tmp_path):
    paths = write(tmp_path, one={}, region={"channels": "foreground", "modality": "MR"})
    with pytest.raises(ExportError, match="region: was trained with modality MR"):
        load_ensemble([paths["one"]], paths["region"])


def test_what_was_trained_cannot_be_changed(tmp_path):
    paths = write(tmp_path, one={})
    with pytest.raises(RecipeError, match="only fields of inference"):
        load_ensemble([paths["one"]], None, ["spacing_zyx_mm=[1,1,1]"])
