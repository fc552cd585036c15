"""Appearance: what changes, by how much, and which values it may reach."""

from dataclasses import replace

import numpy as np
import pytest

from training.augmentation.appearance import vary_appearance
from training.recipes.augmentation_options import PatchAugmentation

STILL = PatchAugmentation(affine_chance=0, intensity_chance=0, noise_chance=0, blur_chance=0)
RAMP = np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 4, 4)
UNIT = (0.0, 1.0)


def varied(augmentation, image=RAMP, limits=UNIT, count=20):
    return [
        vary_appearance(image, augmentation, np.random.default_rng(seed), limits) for seed in range(count)
    ]


def test_changes_stay_within_the_limits_and_do_change():
    drawn = varied(PatchAugmentation(intensity_chance=1, noise_chance=1, blur_chance=1))
    assert min(image.min() for image in drawn) >= 0
    assert max(image.max() for image in drawn) <= 1
    assert all(np.abs(image - RAMP).max() > 0.005 and image.dtype == np.float32 for image in drawn)


def test_without_limits_nothing_is_clipped():
    image = 6 * RAMP - 3
    assert np.array_equal(vary_appearance(image, STILL, np.random.default_rng(0), None), image)
    drawn = varied(PatchAugmentation(intensity_chance=1, noise_chance=1, blur_chance=1), image, None)
    assert all(np.isfinite(one).all() for one in drawn)
    assert min(one.min() for one in drawn) < -2
    assert max(one.max() for one in drawn) > 2


def test_shift_alone_moves_every_voxel_by_the_same():
    drawn = varied(replace(STILL, intensity_chance=1, contrast=0, gamma=0, shift=0.2), RAMP / 2 + 0.25)
    moved = np.array([(one - (RAMP / 2 + 0.25)).ravel() for one in drawn])
    np.testing.assert_allclose(moved.std(axis=1), 0, atol=1e-6)
    assert 0.1 < np.abs(moved).max() <= 0.2


def test_contrast_alone_keeps_the_mean():
    image = RAMP / 2 + 0.25
    drawn = varied(replace(STILL, intensity_chance=1, contrast=0.3, gamma=0, shift=0), image)
    np.testing.assert_allclose([one.mean() for one in drawn], image.mean(), atol=1e-5)
    ratios = np.array([one.std() / image.std() for one in drawn])
    assert 0.7 <= ratios.min() < 0.85 < 1.15 < ratios.max() <= 1.3


WIDE = 4 * RAMP - 2


@pytest.mark.parametrize(("image", "limits"), [(RAMP, UNIT), (WIDE, None), (WIDE, (-2.0, 2.0))])
def test_gamma_leaves_the_ends_where_they_are_and_bends_between(image, limits):
    drawn = varied(replace(STILL, intensity_chance=1, contrast=0, gamma=0.5, shift=0), image, limits)
    for one in drawn:
        assert (one.min(), one.max()) == pytest.approx((image.min(), image.max()), abs=1e-5)
        assert (np.diff(one.ravel()) > 0).all()
    assert max(np.abs(one - image).max() for one in drawn) > 0.05


def test_noise_has_the_deviation_that_was_drawn_for_it_at_most():
    grey = np.full((16, 16, 16), 0.5, np.float32)
    deviations = [one.std() for one in varied(replace(STILL, noise_chance=1, noise=0.1), grey)]
    assert max(deviations) < 0.105
    assert max(deviations) > 0.05


def test_blur_smooths_and_keeps_the_sum_inside():
    image = np.zeros((15, 15, 15), np.float32)
    image[7, 7, 7] = 1
    for one in varied(replace(STILL, blur_chance=1, blur_voxels=1.5), image):
        assert one.max() <= 1
        assert one.sum() == pytest.approx(1, abs=1e-4)


def test_an_image_of_one_value_stays_finite():
    flat = np.full((4, 4, 4), 2.0, np.float32)
    drawn = varied(replace(STILL, intensity_chance=1), flat, None)
    assert all(np.isfinite(one).all() for one in drawn)
