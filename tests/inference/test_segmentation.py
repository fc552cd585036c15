"""Recipes that look twice, end to end on small images, and what their parts do by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper
from scipy import ndimage

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.planning import footprint
from inference.planning.plan import Budget
from inference.planning.planner import Planner
from inference.predictor import Predictor
from inference.segmentation import ensembles, organ_slices, removed_by_steps, removed_channels
from inference.sliding_window.streams import Mean
from model.labels import FLARE23, Pair
from model.manifest.clean_up import LargestComponent, MinVoxels
from model.manifest.fusion import CleanedGroupsFusion, FirstThenOrgansFusion, MeanFusion
from model.manifest.output import Output, Sigmoid
from model.manifest.tiling import CentreFirst
from tests.inference.bundles import (
    LOWER_HU,
    OUTPUT,
    UPPER_HU,
    abdomen,
    hu,
    localization,
    make_bundle,
    member,
)
from tests.inference.fakes import SCORES
from tests.inference.onnx_files import graph, tensor

SPACING = (2.5, 1.5, 1.0)
LIVER, TUMOR = FLARE23.ids["liver"], FLARE23.ids["tumor"]
TUBES = CentreFirst(passing_through=("aorta",))
TWO = [member(), member(file="b.onnx", window_zyx=(10, 12, 20), weight=0.5)]


def volume_of(labels):
    return Volume(array=hu(labels), geometry=Geometry(size_zyx=labels.shape, spacing_zyx_mm=SPACING))


def predict(bundle, labels, **options):
    predictor = Predictor(bundle, device="onnxruntime", threads=1, **options)
    segmented = predictor.predict(volume_of(labels))
    return segmented.labels, segmented


def tall():
    """Organs in the middle third of a tall image."""
    return np.pad(abdomen(), ((40, 40), (0, 0), (0, 0)))


def test_organ_slices_by_hand():
    decisions = np.zeros((60, 2, 2), np.uint8)
    assert organ_slices(decisions, OUTPUT, 5.0) is None
    decisions[30:40, 0, 0] = 1
    assert organ_slices(decisions, OUTPUT, 5.0) == (26, 44)  # 20 mm are four slices.
    decisions[43, 1, 1] = 4
    assert organ_slices(decisions, OUTPUT, 5.0) == (26, 44)
    decisions[44, 1, 1] = 4
    assert organ_slices(decisions, OUTPUT, 5.0) == (0, 60)


def test_only_a_tumor_means_everything():
    decisions = np.zeros((6, 2, 2), np.uint8)
    decisions[3, 1, 1] = 4
    assert organ_slices(decisions, OUTPUT, 5.0) == (0, 6)


CYSTS = Output(
    label_set="cysts",
    labels={"liver": 1, "right cyst": 2, "left cyst": 3},
    channels=("background", "liver", "cyst", "artery", "hepar"),
    pairs=(Pair(merged="cyst", right="right cyst", left="left cyst"),),
    lesions=("right cyst", "left cyst"),
    written_as={"artery": None, "hepar": "liver"},
)


def test_merged_lesions_and_dropped_channels_are_no_organs():
    decisions = np.zeros((60, 2, 2), np.uint8)
    decisions[30:40, 0, 0] = 1
    decisions[5, 0, 0] = 3  # A channel that is dropped is no lesion outside either, but something is there.
    assert organ_slices(decisions, CYSTS, 5.0) == (0, 60)
    decisions[5, 0, 0] = 0
    decisions[41, 1, 1] = 2
    assert organ_slices(decisions, CYSTS, 5.0) == (26, 44)


def test_what_is_removed_takes_all_channels_of_its_structure_with_it():
    """Decisions 1 and 4 are the liver, under either of its names."""
    table = removed_channels(CYSTS).astype(int)
    assert table[1].tolist() == table[4].tolist() == [0, 1, 0, 0, 1]
    assert table[2].tolist() == [0, 0, 1, 0, 0]
    regions = replace(CYSTS, channels=CYSTS.channels[1:], activation=Sigmoid())
    assert removed_channels(regions)[1].tolist() == [True] * 4


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("of", SCORES)
def test_crop_after_the_first_member_saves_windows_and_nothing_else(tmp_path, monkeypatch, keep, of):
    truth = tall()
    # On so small an image clean-up would take more than kept scores, and they would always fit.
    monkeypatch.setattr(footprint, "RUN_BYTES", 0)
    monkeypatch.setattr(footprint, "VISIT_BYTES", 0)
    bundle = make_bundle(tmp_path / "crop", TWO, fusion=FirstThenOrgansFusion(of=of))
    planner = Planner(bundle=bundle, backend="onnxruntime")
    least = planner.plan(volume_of(truth).geometry, small=True).host_mb
    host_mb = 8192 if keep else least
    every, all_windows = predict(make_bundle(tmp_path / "all", TWO, fusion=MeanFusion(of=of)), truth)
    cropped, some_windows = predict(bundle, truth, budget=Budget(host_mb=host_mb))
    np.testing.assert_array_equal(cropped, every)
    assert some_windows.plan.keep == keep
    assert (
        some_windows.windows.run + some_windows.windows.skipped
        < all_windows.windows.run + all_windows.windows.skipped
    )


def test_a_tumor_far_above_is_looked_at_by_all_members(tmp_path):
    truth = tall()
    truth[85:88, 10:20, 10:20] = TUMOR
    found, record = predict(make_bundle(tmp_path / "crop", TWO, fusion=FirstThenOrgansFusion()), truth)
    np.testing.assert_array_equal(found, truth)
    assert record.windows.run + record.windows.skipped == record.plan.windows


def test_clean_up_before_the_fusion(tmp_path):
    truth = abdomen()
    truth[1, 1:4, 1:4] = LIVER  # A speck.
    steps = (LargestComponent(structures=("liver",)), MinVoxels(structures=("tumor",), voxels=10_000))
    bundle = make_bundle(tmp_path / "b", TWO, fusion=CleanedGroupsFusion(), postprocessing=steps)
    found, record = predict(bundle, truth)
    expected = np.where(truth == TUMOR, 0, truth)
    expected[1, 1:4, 1:4] = 0
    np.testing.assert_array_equal(found, expected)
    assert record.plan.keep


def lean_towards_liver(hu_of_liver):
    """Makes networks of three channels whose only opinion is on liver: logit (hu - threshold) / 10."""

    def make(shape, _):
        unit = (UPPER_HU - LOWER_HU) / 10
        weights = np.array([0, unit, 0, 0, 0], np.float32).reshape(5, 1, 1, 1, 1)
        offsets = np.array([0, (LOWER_HU - hu_of_liver) / 10, -50, -50, -50], np.float32)
        node = helper.make_node("Conv", ["image", "weights", "offsets"], ["logits"])
        return graph([node], [tensor("weights", weights), tensor("offsets", offsets)], shape, 5)

    return make


def two_opinions(folder, members, **changes):
    """A bundle whose members take for liver what is above 0 HU, and above 40 HU."""
    makers = iter([lean_towards_liver(0), lean_towards_liver(40)] * len(members))
    return make_bundle(folder, members, make=lambda *args: next(makers)(*args), **changes)


def plainly_fused(image_hu, weights, *, clean):
    """Liver by two opinions, each without all but its largest part where `clean`, averaged with weights."""
    shares = []
    for threshold in (0, 40):
        odds = np.exp((image_hu.astype(float) - threshold) / 10)
        liver = odds / (1 + odds)
        if clean:
            found = liver > 0.5
            parts, _ = ndimage.label(found, np.ones((3, 3, 3)))
            liver[found & (parts != np.bincount(parts[found]).argmax())] = 0
        shares.append(liver)
    return np.average(shares, axis=0, weights=weights) > 0.5


def opinions_image():
    """A block of 100 HU that ends in 12 HU, and a speck of 30 HU apart from it, in -200 HU.

    One opinion takes the end and the speck for liver (0.77 and 0.95), the other does not (0.06 and 0.27).
    A far part (60 HU: 1.00 and 0.88) is joined to the block by a bridge (30 HU) that only one of them sees.
    """
    image = np.full((12, 20, 24), -200, np.int16)
    image[2:8, 4:12, 4:12] = 100
    image[8, 4:12, 4:12] = 12
    image[3:5, 14:17, 16:19] = 30
    image[2:8, 4:12, 12:14] = 30
    image[2:8, 4:12, 14:16] = 60
    return Volume(array=image, geometry=Geometry(size_zyx=image.shape, spacing_zyx_mm=(2.5, 1.5, 1.0)))


@pytest.mark.parametrize("weights", [(1, 1), (3, 1)])
@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("keep", [True, False])
def test_fusion_after_clean_up_is_what_a_plain_computation_gives(tmp_path, weights, clean, keep, monkeypatch):
    """Same grid and windows: only the ensembles' names keep the two apart until both are cleaned up."""
    members = [
        member(file=f"{name}.onnx", ensemble=name, weight=weight, skip_air=False)
        for name, weight in zip("ab", weights, strict=True)
    ]
    steps = (LargestComponent(structures=("liver",)),) if clean else ()
    bundle = two_opinions(tmp_path / "b", members, fusion=CleanedGroupsFusion(), postprocessing=steps)
    if not keep:
        monkeypatch.setattr("inference.segmentation.Segmentation._twice", lambda self, stream: stream)
    volume = opinions_image()
    found = Predictor(bundle, device="onnxruntime", threads=1).predict(volume).labels
    expected = plainly_fused(volume.array, weights, clean=clean)
    np.testing.assert_array_equal(found == LIVER, expected)
    assert bool(expected[8, 5, 5]) == (weights == (3, 1))
    assert bool(expected[3, 15, 17]) == (not clean)
    # Cleaned up as one, both opinions together would keep the far part: 0.61 on the bridge is above one half.
    assert bool(expected[4, 6, 15]) == (not clean or weights == (3, 1))


def test_an_ensemble_on_two_grids_is_cleaned_up_as_one():
    groups = [
        SimpleNamespace(weight=weight, grid_zyx=(2, 2, 2), spacing_zyx_mm=(1.0, 1.0, 1.0))
        for weight in (1.0, 2.0, 4.0, 8.0)
    ]
    first, second, third = ensembles(groups, ["a", None, "a", None])
    assert first[0] == "a"
    assert isinstance(first[1], Mean)
    assert first[1].weight == 5.0
    assert (second, third) == ((None, groups[1]), (None, groups[3]))


def test_each_ensemble_may_be_cleaned_up_in_its_own_way(tmp_path):
    """Only the second is cleaned up: 1.00 and nothing of the far part are below one half of both."""
    members = [member(file=f"{name}.onnx", ensemble=name, skip_air=False) for name in "ab"]
    fusion = CleanedGroupsFusion(clean_up={"b": (LargestComponent(structures=("liver",)),)})
    bundle = two_opinions(tmp_path / "b", members, fusion=fusion)
    volume = opinions_image()
    found = Predictor(bundle, device="onnxruntime", threads=1).predict(volume).labels
    assert found[4, 6, 15] == 0  # (0.9975 + 0) / 2
    assert found[4, 6, 13] == LIVER  # (0.95 + 0.27) / 2
    assert found[3, 15, 17] == LIVER  # The speck: the same, since the second did not see it to begin with.


def test_keeping_and_computing_again_give_the_same(tmp_path, monkeypatch):
    steps = (LargestComponent(structures=("liver",)),)
    members = [member(), member(file="b.onnx", spacing_zyx_mm=(3.0, 2.0, 2.0))]
    bundle = make_bundle(tmp_path / "b", members, fusion=CleanedGroupsFusion(), postprocessing=steps)
    kept, record = predict(bundle, tall())
    monkeypatch.setattr("inference.segmentation.Segmentation._twice", lambda self, stream: stream)
    again, more = predict(bundle, tall())
    np.testing.assert_array_equal(kept, again)
    assert more.windows.run == 2 * record.windows.run


def test_levels_left_out_by_the_first_look_stay_out_of_the_second(tmp_path, monkeypatch):
    """Some voxels of liver at the feet: the level above is left out, for a look that begins there too."""
    truth = np.pad(abdomen(), ((8, 40), (0, 0), (0, 0)))
    truth[2:4, 10:14, 10:14] = LIVER
    members = [
        member(window_zyx=(8, 40, 48), order=TUBES, overlap=0.0, skip_air=False),
        TWO[1],
    ]
    bundle = make_bundle(tmp_path / "b", members, fusion=FirstThenOrgansFusion())
    monkeypatch.setattr("inference.segmentation.organ_slices", lambda *args: (8, 40))
    kept, record = predict(bundle, truth)
    assert record.plan.keep
    monkeypatch.setattr("inference.segmentation.Segmentation._twice", lambda self, stream: stream)
    again, _ = predict(bundle, truth)
    np.testing.assert_array_equal(kept, again)


def test_steps_count_voxels_of_the_image():
    decisions = np.zeros((4, 4, 4), np.uint8)
    decisions[:2, :2, :2] = 1  # 8 voxels of 8 mm3 are 64 of the image's 1 mm3.
    model, image = (
        Geometry(size_zyx=size, spacing_zyx_mm=(mm, mm, mm))
        for size, mm in (((4, 4, 4), 2.0), ((8, 8, 8), 1.0))
    )
    for voxels, removed in ((64, False), (65, True)):
        steps = (MinVoxels(structures=("liver",), voxels=voxels),)
        assert removed_by_steps(decisions, model, image, OUTPUT, steps).any() == removed


def test_windows_outside_the_region_are_skipped(tmp_path):
    truth = tall()
    everywhere, before = predict(make_bundle(tmp_path / "a", localization=localization()), truth)
    inside, after = predict(make_bundle(tmp_path / "b", localization=localization(skip_outside=True)), truth)
    np.testing.assert_array_equal(inside, everywhere)
    assert after.windows.run <= before.windows.run
    noise = truth.copy()
    noise[:6, 5:8, 5:8] = LIVER  # A speck for the localization, far below the organs.
    inside, _ = predict(make_bundle(tmp_path / "c", localization=localization(skip_outside=True)), noise)
    np.testing.assert_array_equal(inside, truth)


@pytest.mark.parametrize(("whole_below_mm", "whole"), [(0, False), (250, False), (251, True)])
def test_a_short_scan_is_looked_at_whole(tmp_path, whole_below_mm, whole):
    """Organs in the middle of 100 slices of 2.5 mm: the region is cut unless 250 mm are too short."""
    truth = np.pad(abdomen(), ((0, 0), (40, 40), (0, 0)))
    truth = np.concatenate([truth, np.zeros((100 - len(truth), *truth.shape[1:]), truth.dtype)])
    found = localization(crop_axes=("z", "y", "x"), whole_below_mm=whole_below_mm)
    labels, record = predict(make_bundle(tmp_path / "a", localization=found), truth)
    np.testing.assert_array_equal(labels, truth)
    assert (record.region.size_zyx == truth.shape) == whole


def test_windows_of_air_can_be_run_too(tmp_path):
    truth = tall()
    found, record = predict(make_bundle(tmp_path / "a", [member(skip_air=False)]), truth)
    assert record.windows.skipped == 0
    skipping, fewer = predict(make_bundle(tmp_path / "b"), truth)
    np.testing.assert_array_equal(skipping, found)
    assert fewer.windows.skipped > 0
    assert fewer.windows.run + fewer.windows.skipped == record.windows.run
