"""The four schemes, by hand."""

import numpy as np
import pytest

from inference.preprocessing.intensity import ImageStatistics, image_statistics, normalize
from model.manifest import Intensity

WINDOW = Intensity(scheme="window", lower=-100.0, upper=300.0)
SIGMOID = Intensity(scheme="window_sigmoid", lower=-100.0, upper=300.0)
CLIP = Intensity(scheme="clip_zscore", lower=-100.0, upper=300.0, mean=50.0, std=25.0)
ZSCORE = Intensity(scheme="zscore")
STATISTICS = ImageStatistics(mean=10.0, std=4.0)


@pytest.mark.parametrize(
    ("intensity", "values", "expected"),
    [
        (WINDOW, (-3024, -100, 0, 300, 3071), (0, 0, 0.25, 1, 1)),
        (SIGMOID, (-100, 100, 300), (1 / (1 + np.e), 0.5, np.e / (1 + np.e))),
        (SIGMOID, (-32768, 32767), (0, 1)),  # not clipped before the logistic function, and no overflow
        (CLIP, (-1000, 50, 75, 1000), (-6, 0, 1, 10)),
        (ZSCORE, (10, 14, 2), (0, 1, -2)),
    ],
)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_by_hand(intensity, values, expected, dtype):
    array = np.array(values, dtype)
    result = normalize(array, intensity, STATISTICS)
    assert result.dtype == np.float32
    assert result.tolist() == pytest.approx(expected, abs=1e-6)
    assert array.tolist() == list(values), "the input must stay as it is"


@pytest.mark.parametrize("intensity", [WINDOW, SIGMOID, CLIP, ZSCORE])
def test_odd_voxels_become_the_ends_of_the_range(intensity):
    array = np.array([np.nan, -np.inf, -50, 200, np.inf], np.float32)
    low, high = normalize(np.array([-50, 200], np.float32), intensity, STATISTICS)
    assert normalize(array, intensity, STATISTICS).tolist() == [low, low, low, high, high]


def test_an_image_of_nothing_but_nan_is_finite():
    assert np.isfinite(normalize(np.full((2, 2, 2), np.nan, np.float32), WINDOW)).all()


def test_statistics_leave_out_the_empty_margin():
    image = np.zeros((5, 6, 7), np.int16)
    image[1:3, 2:4, 3:5] = [
        [[2, 4], [4, 6]],
        [[2, 4], [0, 10]],
    ]  # the 0 inside counts: mean 32/8, squares 192/8
    assert image_statistics(image) == ImageStatistics(mean=4.0, std=pytest.approx(np.sqrt(192 / 8 - 16)))


def test_statistics_are_precise_far_from_zero():
    image = np.random.default_rng(1).normal(1e4, 1.0, (20, 20, 20)).astype(np.float32)
    found = image_statistics(image)
    assert (found.mean, found.std) == pytest.approx(
        (image.mean(dtype=np.float64), image.std(dtype=np.float64)), rel=1e-6
    )


@pytest.mark.parametrize("value", [0, np.nan])
def test_an_empty_image_has_statistics_that_do_no_harm(value):
    image = np.full((2, 3, 4), value, np.float32)
    assert np.isfinite(normalize(image, ZSCORE, image_statistics(image))).all()


def test_zscore_needs_statistics():
    with pytest.raises(ValueError, match="statistics"):
        normalize(np.zeros((1, 1, 1), np.int16), ZSCORE)
