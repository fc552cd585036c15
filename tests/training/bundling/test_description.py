"""Manifests say what recipes say: every feature of the engine can be asked for in a recipe."""

from dataclasses import replace

import numpy as np
import pytest

from model.bundle import load_bundle
from model.manifest.document import Manifest
from model.manifest.fusion import CleanedGroupsFusion, FirstThenOrgansFusion, MeanFusion
from model.manifest.intensity import ClipZscoreIntensity
from model.manifest.resampling import SeparateAxisResampling, SeparateAxisRestoration
from model.manifest.tiling import CentreFirst, ConstantImportance
from model.manifest.window import AnyWindow, FixedWindow
from tests.training.checkpoints import write_checkpoint
from tests.training.tiny import tiny_recipe
from training.bundling.description import (
    Statement,
    localization_of,
    manifest_of,
    member_of,
    provenance_of,
)
from training.bundling.ensemble import comparison_windows, write_ensemble
from training.bundling.trained import load_ensemble, load_trained

STATEMENT = Statement(name="bundle", licence="CC0", intended_use="tests")
OWN_SET = {
    "name": "chest",
    "ids": {"right lung": 3, "left lung": 8, "cyst": 20},
    "pairs": [{"merged": "lung", "right": "right lung", "left": "left lung"}],
    "lesions": ["cyst"],
}
NNUNET = {
    "window_zyx": [8, 16, 24],
    "tiling": {
        "overlap": 0.25,
        "importance": {"kind": "constant"},
        "order": {"kind": "centre_first", "least_foreground": 7, "passing_through": ["aorta"]},
        "mirror_axes": ["y", "x"],
        "skip_air": False,
    },
    "fusion": {"kind": "mean", "of": "logits"},
    "restoration": {"kind": "separate_axis", "in_plane": "linear", "along": "nearest"},
    "clean_up": [{"kind": "largest_component", "structures": ["organs"], "together": True}],
}


def manifest_by(tmp_path, *recipes, region=None) -> Manifest:
    """What the manifest of members with these recipes says; nothing is exported."""
    trained = [
        load_trained(write_checkpoint(tmp_path / str(index), recipe=recipe))
        for index, recipe in enumerate((*recipes, *([region] if region else [])))
    ]
    first = recipes[0]
    members = tuple(member_of(recipe, f"{index}.onnx", first) for index, recipe in enumerate(recipes))
    localization = localization_of(region, "region.onnx", first) if region else None
    files = {network.file: "0" * 64 for network in (*members, *([localization] if localization else []))}
    return manifest_of(trained, members, localization, files, STATEMENT)


def test_a_tiny_network_is_exported_with_everything_that_its_recipe_asks_for(tmp_path):
    """One real export; the other tests look at manifests alone."""
    write_checkpoint(tmp_path / "member", label_set="flare23", channels="merged", inference=NNUNET)
    options = {"margin_mm": 35, "crop_axes": ["z", "y", "x"], "skip_outside": True, "whole_below_mm": 60}
    write_checkpoint(
        tmp_path / "region", label_set="flare23", channels="foreground", inference={"localization": options}
    )
    members, region = load_ensemble([tmp_path / "member"], tmp_path / "region")
    write_ensemble(tmp_path / "bundle", members, region, STATEMENT, fp16=False)
    manifest = load_bundle(tmp_path / "bundle").manifest
    (member,) = manifest.members
    assert member.window_zyx == (8, 16, 24)
    assert (member.tiling.overlap, member.tiling.importance) == (0.25, ConstantImportance())
    assert member.tiling.order == CentreFirst(least_foreground=7, passing_through=("aorta",))
    assert (member.tiling.mirror_axes, member.tiling.skip_air) == (("y", "x"), False)
    assert manifest.fusion == MeanFusion(of="logits")
    assert manifest.restoration == SeparateAxisRestoration(in_plane="linear", along="nearest")
    (step,) = manifest.postprocessing
    assert step.together
    assert len(step.structures) == 13
    found = manifest.localization
    assert (found.margin_mm, found.crop_axes, found.skip_outside) == (35, ("z", "y", "x"), True)
    assert found.whole_below_mm == 60
    assert manifest.output.lesions == ("tumor",)
    assert [pair.merged for pair in manifest.output.pairs] == ["kidney", "adrenal gland"]


@pytest.mark.parametrize(
    ("document", "fusion"),
    [
        ({"kind": "first_then_organs"}, FirstThenOrgansFusion()),
        ({"kind": "first_then_organs", "of": "logits"}, FirstThenOrgansFusion(of="logits")),
        ({"kind": "cleaned_groups"}, CleanedGroupsFusion()),
    ],
)
def test_every_fusion_can_be_asked_for(tmp_path, document, fusion):
    assert manifest_by(tmp_path, tiny_recipe(inference={"fusion": document})).fusion == fusion


def test_what_normalization_and_resampling_were_in_training_they_are_in_the_manifest(tmp_path):
    recipe = tiny_recipe(
        modality="MR",
        intensity={"kind": "zscore", "over": "nonzero_filled"},
        normalize="before_resampling",
        resampling={"kind": "separate_axis", "above_ratio": 2.5},
    )
    manifest = manifest_by(tmp_path, recipe)
    assert manifest.preprocessing.normalize == "before_resampling"
    assert manifest.preprocessing.resampling == SeparateAxisResampling(above_ratio=2.5)
    assert manifest.inputs[0].modality == "MR"
    assert manifest.inputs[0].intensity == recipe.intensity
    assert manifest.ct_channel is None


def test_networks_that_see_images_otherwise_than_the_first_say_so(tmp_path):
    zscore = {"kind": "clip_zscore", "lower": 0, "upper": 100, "mean": 50, "std": 20}
    other = tiny_recipe(intensity=zscore, resampling={"kind": "linear"})
    region = tiny_recipe(channels="foreground", resampling={"kind": "cubic"})
    manifest = manifest_by(tmp_path, tiny_recipe(), other, region=region)
    first, second = manifest.members
    assert (first.intensities, first.resampling) == (None, None)
    assert second.intensities == (ClipZscoreIntensity(lower=0, upper=100, mean=50, std=20),)
    assert manifest.resampling_of(second).kind == "linear"
    assert manifest.localization.intensities is None
    assert manifest.resampling_of(manifest.localization).kind == "cubic"


def test_regions_may_grow_and_may_be_too_small(tmp_path):
    options = {"least_ml": 80, "more_looks": 2}
    region = tiny_recipe(channels="foreground", inference={"localization": options})
    found = manifest_by(tmp_path, tiny_recipe(), region=region).localization
    assert (found.least_ml, found.more_looks) == (80, 2)


def test_a_users_own_label_set_comes_with_pairs_and_lesions(tmp_path):
    manifest = manifest_by(tmp_path, tiny_recipe(label_set=OWN_SET, channels="merged"))
    assert manifest.output.channels == ("background", "lung", "cyst")
    assert manifest.output.as_label_set() == tiny_recipe(label_set=OWN_SET).labels
    (step,) = manifest.postprocessing
    assert (step.kind, step.structures, step.voxels) == ("min_voxels", ("cyst",), 100)


def test_weights_that_were_not_drawn_leave_a_trace(tmp_path):
    drawn = load_trained(write_checkpoint(tmp_path / "one"))
    tuned = replace(drawn, info=replace(drawn.info, init_sha256="c" * 64))
    found = provenance_of([tuned, drawn, drawn], STATEMENT)
    start = f"tiny (seed 0, 8 steps, from weights sha256:{'c' * 64})"
    assert found.recipe == f"{start}, tiny (seed 0, 8 steps)"
    assert found.data == "cubes"


@pytest.mark.parametrize(
    ("intensity", "low", "high"),
    [
        ({"kind": "window", "lower": 0, "upper": 1}, 0, 1),
        ({"kind": "zscore"}, -2, 2),
        ({"kind": "none"}, -250, 250),
    ],
)
def test_windows_to_compare_on_have_the_values_that_the_network_sees(intensity, low, high):
    for window in comparison_windows(tiny_recipe(intensity=intensity), (16, 16, 16), data=None):
        assert window.shape == (1, 1, 16, 16, 16)
        assert low <= window.min() < low + (high - low) / 4
        assert high - (high - low) / 2 < window.max() <= high


def test_a_case_to_compare_on_is_cut_from_its_middle(cubes):
    _, body = comparison_windows(tiny_recipe(), (4, 8, 12), data=cubes)
    assert body.shape == (1, 1, 4, 8, 12)
    # Fat of -100 HU, liver of 100 and spleen of 0 in the window from -250 to 250.
    assert set(body.ravel().round(2).tolist()) <= {np.float32(value) for value in (0.3, 0.5, 0.7)}


def test_a_recipe_for_any_window_says_so_in_the_manifest():
    """The tiny network halves its window once, so that sides are even and two coarse voxels at least."""
    recipe = tiny_recipe(inference={"any_window": True})
    sizes = AnyWindow(multiple_of_zyx=(2, 2, 2), smallest_zyx=(4, 4, 4))
    assert member_of(recipe, "a.onnx", recipe).window == sizes
    assert member_of(tiny_recipe(), "a.onnx", recipe).window == FixedWindow()


@pytest.mark.slow
def test_a_network_for_any_window_is_exported_with_its_memory_as_a_line(tmp_path, cubes):
    write_checkpoint(tmp_path / "member", inference={"any_window": True})
    members, _ = load_ensemble([tmp_path / "member"], None)
    bundle = write_ensemble(tmp_path / "bundle", members, None, STATEMENT, data=cubes, fp16=False)
    (member,) = load_bundle(bundle.folder).manifest.members
    assert set(member.window.memory) == set(member.memory_mb)
