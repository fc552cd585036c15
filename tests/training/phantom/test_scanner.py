"""What the scanner adds to a perfect image."""

from dataclasses import replace

import numpy as np
import pytest

from training.phantom.scanner import Scanner, finish, random_scanner

SPACING = (3.0, 0.8, 0.8)
QUIET = Scanner(noise_hu=0.0, grain_mm=0.7, blur_mm=1.0, padding_hu=None, sharpen=0.0)


def flat(hu, shape=(20, 64, 64)):
    return np.full(shape, hu, np.float32)


def finished(image, scanner, seed=0):
    return finish(image, scanner, SPACING, np.random.default_rng(seed))


def test_without_noise_values_are_rounded_to_whole_hounsfield_units():
    image = flat(39.6)
    image[0, 0, 0] = -40.4
    found = finished(image, QUIET)
    assert found.dtype == np.int16
    assert (found[0, 0, 0], found[1, 1, 1]) == (-40, 40)


def test_values_stay_in_the_range_of_a_scanner():
    image = flat(5000.0)
    image[0] = -3000
    found = finished(image, QUIET)
    assert (found.min(), found.max()) == (-1024, 3071)


@pytest.mark.parametrize("noise", [5.0, 20.0])
def test_noise_has_the_deviation_that_was_asked_for(noise):
    found = finished(flat(50.0), replace(QUIET, noise_hu=noise))
    assert found.std() == pytest.approx(noise, rel=0.1)
    assert found.mean() == pytest.approx(50, abs=1)


def test_a_soft_kernel_has_coarser_grain():
    def neighbours(grain):
        found = finished(flat(0.0), replace(QUIET, noise_hu=20.0, grain_mm=grain)).astype(float)
        return np.corrcoef(found[:, :, 1:].ravel(), found[:, :, :-1].ravel())[0, 1]

    assert neighbours(0.3) < 0.2 < 0.6 < neighbours(1.2)


def test_slices_are_noisy_by_themselves():
    found = finished(flat(0.0), replace(QUIET, noise_hu=20.0, grain_mm=1.0)).astype(float)
    assert abs(np.corrcoef(found[1:].ravel(), found[:-1].ravel())[0, 1]) < 0.05


def test_air_is_less_noisy_than_tissue():
    noisy = replace(QUIET, noise_hu=10.0)
    tissue, air = (finished(flat(hu), noisy).astype(float) for hu in (0.0, -950.0))
    assert air.std() == pytest.approx(0.55 * tissue.std(), rel=0.1)


def test_a_sharp_kernel_overshoots_at_edges_and_nowhere_else():
    image = flat(0.0)
    image[:, :, 32:] = 100
    found = finished(image, replace(QUIET, sharpen=0.35))
    assert found[:, :, 32].min() > 105
    assert found[:, :, 31].max() < -5
    assert (found[:, :, :20] == 0).all()
    assert (found[:, :, 44:] == 100).all()


def test_beyond_the_reconstructed_circle_is_padding():
    found = finished(flat(0.0), replace(QUIET, padding_hu=-2000))
    assert found[0, 0, 0] == -2000
    assert found[0, 32, 32] == 0
    assert (found == -2000).mean() == pytest.approx(1 - np.pi / 4, abs=0.03)


def test_a_grid_that_is_no_square_has_no_circle():
    found = finished(flat(0.0, (4, 32, 64)), replace(QUIET, padding_hu=-2000))
    assert (found == 0).all()


def test_the_bytes_do_not_depend_on_what_was_drawn_before():
    noisy = replace(QUIET, noise_hu=10.0)
    assert np.array_equal(finished(flat(0.0), noisy, seed=3), finished(flat(0.0), noisy, seed=3))


def test_thin_slices_are_noisier():
    thick, thin = (
        np.mean([random_scanner(np.random.default_rng(seed), mm).noise_hu for seed in range(200)])
        for mm in (5.0, 1.0)
    )
    assert thin > 1.5 * thick
