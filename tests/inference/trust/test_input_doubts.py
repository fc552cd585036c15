"""Images that are no CT in HU are doubted, and CTs of all sorts are not."""

from dataclasses import replace

import numpy as np
import pytest

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.trust.input_doubts import body_area_cm2, input_doubts, sample_of, value_doubt
from model.manifest.document import Input
from tests.inference.bundles import CT, INTENSITY
from tests.inference.manifests import manifest

SIZE = (24, 48, 64)
AIR, LUNG, FAT, TISSUE, BONE = -1000.0, -850.0, -100.0, 50.0, 900.0


def body(air=AIR, noise_hu=10.0, seed=0):
    """HU (z, y, x): a block of fat and tissue with lung and a little bone, in air."""
    hu = np.full(SIZE, air, np.float32)
    hu[:, 8:40, 8:56] = FAT
    hu[:, 12:36, 12:52] = TISSUE
    hu[12:, 14:24, 14:30] = LUNG
    hu[:, 30:34, 30:34] = BONE
    return hu + np.random.default_rng(seed).normal(0, noise_hu, SIZE).astype(np.float32)


def round_view(padding):
    """The field of view is a circle; what lies outside is padding."""
    y, x = np.mgrid[:48, :64]
    return np.where((y - 23.5) ** 2 + (x - 31.5) ** 2 < 30**2, body(), padding)


@pytest.mark.parametrize(
    "image",
    [
        body(),
        body(noise_hu=60.0),
        np.maximum(body(), -1024),
        body().round().astype(np.int16),
        round_view(-2000.0),
        round_view(-3024.0),
        np.where(body() > 30, body() + 200, body()),
        body()[:, 12:36, 12:52],
        np.clip(body(), -160, 240),
        np.where(np.arange(64) < 20, np.nan, body()),
    ],
    ids=[
        *("plain", "low dose", "air cut at -1024", "whole numbers", "padding -2000", "padding -3024"),
        *("contrast", "cropped to the body", "clipped to a window", "some NaN"),
    ],
)
def test_cts_are_not_doubted(image):
    assert value_doubt(sample_of(image)) == ""


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (body() + 1024, "neither air nor fat"),
        (round_view(-2000.0) + np.where(round_view(-2000.0) > -1500, 1024, 0), "neither air nor fat"),
        (body() - 1024, "its air lies at about -20"),
        (body() / 2, "its air lies at about -500"),
        (body() * 2, "its air lies at about -"),
        (body() / 10, "alone, less apart than fat and vessels"),
        (-body(), "as dense as bone"),
        ((body() + 1024) / 2048, "neither air nor fat"),
        (
            np.clip((body() + 160) / 400 * 255, 0, 255).round(),
            "different values from 0 to 255, as a label map",
        ),
        (np.where(body() < 0, body() + 65536, body()), "neither air nor fat"),
        (np.random.default_rng(0).normal(AIR, 10, SIZE), "hardly any soft tissue"),
        (np.full(SIZE, -2000.0), "nothing but padding"),
        (np.random.default_rng(0).integers(0, 14, SIZE), "holds only 14 different values from 0 to 13"),
        (np.zeros(SIZE, np.int16), "holds only 1 different value from 0 to 0"),
    ],
    ids=[
        *(
            "offset",
            "offset within padding",
            "intercept twice",
            "slope halved",
            "slope doubled",
            "slope a tenth",
        ),
        *("inverted", "0 to 1", "8 bits", "wrapped", "air alone", "padding alone", "labels", "zeros"),
    ],
)
def test_what_is_no_ct_is_named(image, seen):
    assert seen in value_doubt(sample_of(image))


def test_a_handful_of_voxels_says_nothing():
    assert value_doubt(np.zeros(999, np.float32)) == ""


def volume(hu=None, spacing=(5.0, 1.0, 1.0), **changes):
    hu = body() if hu is None else hu
    return Volume(array=hu, geometry=Geometry(size_zyx=hu.shape, spacing_zyx_mm=spacing), **changes)


def test_a_sound_ct_has_no_doubts():
    assert input_doubts(volume(modalities=("CT",)), manifest()) == ()


def for_modality(modality):
    return manifest(inputs=(Input(name="T2", modality=modality, intensity=INTENSITY),))


@pytest.mark.parametrize(
    ("modality", "said"), [("MR", "MR"), ("MR", ""), ("PET", "PT"), ("other", "MR"), ("other", "CT")]
)
def test_nothing_is_expected_of_values_that_are_no_ct(modality, said):
    assert input_doubts(volume(body() + 1024, modalities=(said,)), for_modality(modality)) == ()


@pytest.mark.parametrize(
    ("modality", "said", "wanted"), [("MR", "CT", "MR"), ("MR", "PT", "MR"), ("PET", "CT", "PT")]
)
def test_what_says_that_it_is_another_modality_is_doubted_by_its_header_alone(modality, said, wanted):
    (doubt,) = input_doubts(volume(body(), modalities=(said,)), for_modality(modality))
    remedy = f"give a series whose modality is {wanted}"
    assert doubt == f"its modality is {said}, and the bundle is for {modality}; {remedy}"


def test_the_channel_that_is_to_be_a_ct_is_judged():
    two = manifest(inputs=(Input(name="PET", modality="PET", intensity=INTENSITY), CT))
    pet_and_ct = replace(volume(np.abs(body())), further=(body(),))
    assert input_doubts(pet_and_ct, two) == ()
    (doubt,) = input_doubts(replace(pet_and_ct, further=(body() + 1024,)), two)
    assert doubt.startswith("its values lie between")


def test_another_modality_is_named_and_its_values_are_not():
    (doubt,) = input_doubts(volume(body() + 1024, modalities=("MR",)), manifest())
    assert doubt.startswith("its modality is MR, and the bundle is for CT; give a CT in Hounsfield units")


@pytest.mark.parametrize(
    ("slices", "spacing_mm", "seen"),
    [
        (1, 5.0, "has only 1 slice from feet to head"),
        (7, 5.0, "has only 7 slices from feet to head"),
        (8, 3.0, "covers only 24 mm from feet to head"),
        (10, 2.5, None),
        (12, 5.0, None),
        (20, 10.0, None),
        (20, 10.1, "its slices are 10.1 mm apart, the networks' own 2.5 mm"),
    ],
)
def test_too_few_and_too_thick_slices(slices, spacing_mm, seen):
    doubts = input_doubts(volume(body()[:slices], (spacing_mm, 1.0, 1.0)), manifest())
    assert [doubt.split(";")[0] for doubt in doubts] == ([seen] if seen else [])


def test_the_body_is_measured_in_cross_section():
    """32 × 48 mm of 48 × 64 mm are body; lung is not, in the upper half: 15.4 and 13.8 cm²."""
    assert body_area_cm2(volume(), 0) == pytest.approx(15.36, abs=0.02)
