"""What a network looks at: the axes of the patient or of the file, the whole image or a part of it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from inference.geometry import Box
from inference.predictor import Predictor
from model.labels import FLARE23
from model.manifest.document import Input, Preprocessing
from model.manifest.intensity import NoIntensity, ZscoreIntensity
from tests.inference.bundles import CHANNELS, abdomen, hu, localization, make_bundle, member
from tests.inference.onnx_files import fixed
from tests.inference.small_cases import ISOTROPIC, predict, volume_of

LIVER = FLARE23.ids["liver"]
RAW = Input(name="MR", modality="MR", intensity=NoIntensity())
"""Voxels as they are in the file, and no air to be told."""
ABOVE_ZERO = (0.0, 1e3, 2e3, 3e3)
"""Thresholds by which what is above 0 is liver."""


# Orientation
# ----------------------------------------------------------------------------------------------------

ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def stored(array, axes, signs):
    """A canonical array as a file might store it, with the direction that says so."""
    direction = np.zeros((3, 3))
    for i, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        direction[2 - axis, 2 - i] = sign
    turned = array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    return turned, {"direction": tuple(direction.ravel())}


@pytest.fixture(scope="module")
def as_stored(tmp_path_factory):
    bundle = make_bundle(
        tmp_path_factory.mktemp("stored") / "b",
        [member(spacing_zyx_mm=ISOTROPIC)],
        preprocessing=Preprocessing(orientation="stored"),
    )
    return Predictor(bundle, device="onnxruntime", threads=1)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_left_and_right_are_told_apart_whichever_way_the_network_looks(as_stored, axes, signs):
    truth, direction = stored(abdomen(), axes, signs)
    found = as_stored.predict(volume_of(hu(truth), **direction))
    np.testing.assert_array_equal(found.labels, truth)
    assert found.region == Box(start_zyx=(0, 0, 0), stop_zyx=truth.shape)


@pytest.mark.parametrize("orientation", ["canonical", "stored"])
def test_a_network_sees_the_axes_of_the_patient_or_of_the_file(orientation, tmp_path):
    """It says liver in the last quarter of its window: towards the left, or the last columns in the file."""
    said = np.zeros((len(CHANNELS), 8, 16, 16), np.float32)
    said[1, ..., 12:] = 9
    image = np.full((8, 16, 16), 50, np.int16)
    for flipped in (False, True):
        _, direction = stored(image, (0, 1, 2), (1, 1, -1 if flipped else 1))
        found = predict(
            tmp_path / str(flipped),
            volume_of(image, **direction),
            make=lambda shape, _: fixed(shape, said),
            preprocessing=Preprocessing(orientation=orientation),
        )
        first = flipped and orientation == "canonical"
        expected = np.zeros(image.shape, np.uint8)
        expected[..., : 4 if first else None] = LIVER if first else 0
        if not first:
            expected[..., 12:] = LIVER
        np.testing.assert_array_equal(found.labels, expected)


def test_spacing_is_along_the_axes_of_the_file(tmp_path):
    """A member with 2 mm along the file's first axis, which is the patient's left-right."""
    truth, direction = stored(abdomen((40, 12, 48)), (2, 1, 0), (1, 1, 1))
    volume = volume_of(hu(truth), (1.0, 1.0, 1.0), **direction)
    as_file = Preprocessing(orientation="stored")
    found = predict(tmp_path / "b", volume, [member(spacing_zyx_mm=(2.0, 1.0, 1.0))], preprocessing=as_file)
    assert found.plan.groups[0].grid_zyx == (24, 12, 40)
    found = predict(tmp_path / "c", volume, [member(spacing_zyx_mm=(2.0, 1.0, 1.0))])
    assert found.plan.groups[0].grid_zyx == (20, 12, 48)


# Crop and statistics
# ----------------------------------------------------------------------------------------------------

CROP = Preprocessing(crop="nonzero")


@pytest.mark.parametrize("crop", ["none", "nonzero"])
def test_what_lies_outside_the_crop_is_background(crop, tmp_path):
    """The network says liver wherever it looks; the image holds two voxels that are not 0."""
    image = np.zeros((6, 20, 24), np.int16)
    image[1, 3, 5], image[4, 12, 9] = 7, -7
    found = predict(
        tmp_path / "b",
        volume_of(image),
        make=lambda shape, _: fixed(shape, [0, 9, 0, 0, 0]),
        inputs=(RAW,),
        preprocessing=Preprocessing(crop=crop),
    )
    expected = np.full(image.shape, LIVER, np.uint8)
    if crop == "nonzero":
        expected[:] = 0
        expected[1:5, 3:13, 5:10] = LIVER
        assert found.region == Box(start_zyx=(1, 3, 5), stop_zyx=(5, 13, 10))
    np.testing.assert_array_equal(found.labels, expected)


@pytest.mark.parametrize(("margin", "box"), [(0, ((1, 3, 5), (3, 6, 7))), (2, ((0, 1, 3), (5, 8, 9)))])
def test_a_crop_to_what_is_above_zero(margin, box, tmp_path):
    """Of three voxels that are not 0 two are above it; the margin ends where the image does."""
    image = np.zeros((6, 20, 24), np.int16)
    image[1, 3, 5] = image[2, 5, 6] = 7
    image[4, 12, 9] = -7
    found = predict(
        tmp_path / "b",
        volume_of(image),
        inputs=(RAW,),
        preprocessing=Preprocessing(crop="positive", crop_margin=margin),
    )
    assert found.region == Box(start_zyx=box[0], stop_zyx=box[1])


@pytest.mark.parametrize("crop", ["none", "nonzero"])
@pytest.mark.parametrize("normalize", ["before_resampling", "after_resampling"])
def test_statistics_are_of_what_cropping_leaves(crop, normalize, tmp_path):
    """4 and 8 in the box have the mean 6; with the zeros around it the mean is less than both."""
    image = np.zeros((6, 20, 24), np.int16)
    image[2:4, 5:15, 5:15] = 4
    image[2:4, 5:15, 10:15] = 8
    found = predict(
        tmp_path / "b",
        volume_of(image),
        thresholds=ABOVE_ZERO,
        inputs=(replace(RAW, intensity=ZscoreIntensity()),),
        preprocessing=Preprocessing(crop=crop, normalize=normalize),
    )
    np.testing.assert_array_equal(found.labels, np.where(image >= (8 if crop == "nonzero" else 4), LIVER, 0))


def test_statistics_over_voxels_that_count(tmp_path):
    """214 voxels of 4 and 250 of 8 around 36 of 0, which are 2.3 deviations below the mean where they count.

    What does not count is not changed: it stays 0, which is above the threshold of -1.6.
    """
    image = np.zeros((7, 20, 24), np.int16)
    image[1:6, 5:15, 5:15] = 4
    image[1:6, 5:15, 10:15] = 8
    image[2:5, 7:13, 7:9] = 0
    for over in ("nonzero", "nonzero_filled"):
        found = predict(
            tmp_path / over,
            volume_of(image),
            thresholds=(-1.6, 1e3, 2e3, 3e3),
            inputs=(replace(RAW, intensity=ZscoreIntensity(over=over)),),
            preprocessing=Preprocessing(normalize="before_resampling"),
        )
        expected = np.full(image.shape, LIVER, np.uint8)
        if over == "nonzero_filled":
            expected[2:5, 7:13, 7:9] = 0
        np.testing.assert_array_equal(found.labels, expected)


def test_a_crop_and_a_region_of_interest_within_it(tmp_path):
    truth = np.pad(abdomen(), ((2, 3), (25, 9), (14, 30)))
    image = hu(truth)
    filled = np.zeros(truth.shape, bool)
    filled[2:-3, 5:-4, 4:-10] = True  # A margin of air that is not 0 stays around the body.
    volume = volume_of(np.where(filled, image, 0).astype(np.int16))
    found = predict(tmp_path / "b", volume, localization=localization(margin_mm=6.0), preprocessing=CROP)
    np.testing.assert_array_equal(found.labels, truth)
    assert found.region.start_zyx[0] == 2
    assert found.region.start_zyx[1] > 5
    assert found.region.stop_zyx[2] < truth.shape[2] - 10
