"""Every scheme of the manifest, by hand."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from inference.preprocessing.intensity import (
    ChannelStatistics,
    channel_statistics,
    needs_statistics,
    nonzero_filled,
    normalize,
)
from model.manifest.intensity import (
    ClipZscoreIntensity,
    DivideIntensity,
    NoIntensity,
    RangeIntensity,
    WindowIntensity,
    WindowSigmoidIntensity,
    ZeroToOneIntensity,
    ZscoreIntensity,
    needs_mask,
)

WINDOW = WindowIntensity(lower=-100.0, upper=300.0)
SIGMOID = WindowSigmoidIntensity(lower=-100.0, upper=300.0)
CLIP = ClipZscoreIntensity(lower=-100.0, upper=300.0, mean=50.0, std=25.0)
ZSCORE = ZscoreIntensity()
NONZERO, FILLED = ZscoreIntensity(over="nonzero"), ZscoreIntensity(over="nonzero_filled")
SCHEMES = [WINDOW, SIGMOID, CLIP, ZSCORE, ZeroToOneIntensity(), DivideIntensity(), NoIntensity()]
STATISTICS = ChannelStatistics(mean=10.0, std=4.0, lowest=-10.0, highest=30.0)


@pytest.mark.parametrize(
    ("intensity", "values", "expected"),
    [
        (WINDOW, (-3024, -100, 0, 300, 3071), (0, 0, 0.25, 1, 1)),
        (SIGMOID, (-100, 100, 300), (1 / (1 + np.e), 0.5, np.e / (1 + np.e))),
        (SIGMOID, (-32768, 32767), (0, 1)),  # not clipped before the logistic function, and no overflow
        (CLIP, (-1000, 50, 75, 1000), (-6, 0, 1, 10)),
        (ZSCORE, (10, 14, 2), (0, 1, -2)),
        (NONZERO, (10, 14, 0), (0, 1, 0)),  # 0 stays 0, which would be -2.5
        (ZeroToOneIntensity(), (-10, 0, 30, 70), (0, 0.25, 1, 2)),
        (DivideIntensity(), (0, 51, 255), (0, 0.2, 1)),
        (DivideIntensity(by=4), (-2, 6, 0), (-0.5, 1.5, 0)),
        (NoIntensity(), (-7, 0, 1234), (-7, 0, 1234)),
        (RangeIntensity(lower=0, upper=100, to_lower=-1), (-50, 0, 25, 100, 150), (-1, -1, -0.5, 1, 1)),
        (RangeIntensity(lower=0, upper=100, to_upper=2, clip=False), (-50, 0, 25, 150), (-1, 0, 0.5, 3)),
    ],
)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_by_hand(intensity, values, expected, dtype):
    array = np.array(values, dtype)
    result = normalize(array, intensity, STATISTICS)
    assert result.dtype == np.float32
    assert result.tolist() == pytest.approx(expected, abs=1e-6)
    assert array.tolist() == list(values), "the input must stay as it is"


def test_voxels_outside_the_filled_mask_stay_what_they_are():
    array, mask = np.array([10, 14, 0, 3], np.int16), np.array([True, True, True, False])
    assert normalize(array, FILLED, STATISTICS, mask).tolist() == [0, 1, -2.5, 3]


@pytest.mark.parametrize("intensity", [*SCHEMES, NONZERO])
def test_odd_voxels_become_the_ends_of_the_range(intensity):
    array = np.array([np.nan, -np.inf, -50, 200, np.inf], np.float32)
    low, high = normalize(np.array([-50, 200], np.float32), intensity, STATISTICS)
    assert normalize(array, intensity, STATISTICS).tolist() == [low, low, low, high, high]


@pytest.mark.parametrize("intensity", [*SCHEMES, NONZERO])
def test_an_image_of_nothing_but_nan_is_finite(intensity):
    nothing = np.full((2, 2, 2), np.nan, np.float32)
    assert np.isfinite(normalize(nothing, intensity, channel_statistics(nothing))).all()


IMAGE = np.zeros((5, 6, 7), np.int16)
IMAGE[1:3, 2:4, 3:5] = [[[2, 4], [4, 6]], [[2, 4], [0, 10]]]
"""Seven voxels that are not 0, among 210: their sum is 32, that of their squares 192."""


def test_statistics_over_the_image():
    """Before manifest version 2 an empty margin was left out; `preprocessing.crop` says now whether it is."""
    found = channel_statistics(IMAGE)
    expected = pytest.approx(np.sqrt(192 / 210 - (32 / 210) ** 2))
    assert found == ChannelStatistics(mean=pytest.approx(32 / 210), std=expected, lowest=0.0, highest=10.0)
    found = channel_statistics(IMAGE[1:3, 2:4, 3:5])  # What cropping leaves; the 0 inside counts.
    expected = pytest.approx(np.sqrt(192 / 8 - 16))
    assert found == ChannelStatistics(mean=4.0, std=expected, lowest=0.0, highest=10.0)


def test_statistics_over_voxels_that_are_not_zero():
    expected = pytest.approx(np.sqrt(192 / 7 - (32 / 7) ** 2))
    found = channel_statistics(IMAGE, "nonzero")
    assert found == ChannelStatistics(mean=pytest.approx(32 / 7), std=expected, lowest=2.0, highest=10.0)


def test_statistics_over_a_mask():
    mask = np.zeros(IMAGE.shape, bool)
    mask[2, 3, 3:5] = True  # 0 and 10.
    found = channel_statistics(IMAGE, "nonzero_filled", mask)
    assert found == ChannelStatistics(mean=5.0, std=5.0, lowest=0.0, highest=10.0)


@pytest.mark.parametrize("values", [(np.nan, 1, 3, np.inf, -np.inf), (3, np.nan, np.inf, -np.inf, 1)])
def test_statistics_leave_out_what_is_no_number(values):
    image = np.array(values, np.float32).reshape(1, 1, 5)
    assert channel_statistics(image) == ChannelStatistics(mean=2.0, std=1.0, lowest=1.0, highest=3.0)


def test_statistics_are_precise_far_from_zero():
    image = np.random.default_rng(1).normal(1e4, 1.0, (20, 20, 20)).astype(np.float32)
    found = channel_statistics(image)
    assert (found.mean, found.std) == pytest.approx(
        (image.mean(dtype=np.float64), image.std(dtype=np.float64)), rel=1e-6
    )


@pytest.mark.parametrize("value", [0, np.nan])
@pytest.mark.parametrize("intensity", [ZSCORE, NONZERO, ZeroToOneIntensity()])
def test_an_empty_image_has_statistics_that_do_no_harm(value, intensity):
    image = np.full((2, 3, 4), value, np.float32)
    statistics = channel_statistics(image, "nonzero" if intensity is NONZERO else "image")
    assert not normalize(image, intensity, statistics).any()


@pytest.mark.parametrize("intensity", [ZSCORE, NONZERO, FILLED, ZeroToOneIntensity()])
def test_schemes_of_the_image_need_its_statistics(intensity):
    assert needs_statistics(intensity)
    with pytest.raises(ValueError, match="statistics"):
        normalize(np.zeros((1, 1, 1), np.int16), intensity)


def test_nonzero_filled_needs_its_mask():
    assert [scheme for scheme in (*SCHEMES, NONZERO, FILLED) if needs_mask(scheme)] == [FILLED]
    with pytest.raises(ValueError, match="needs the mask"):
        normalize(np.zeros((1, 1, 1), np.int16), FILLED, STATISTICS)


def test_a_ring_with_a_hole_is_filled_and_a_bay_is_not():
    """A hollow box has a hole; a gutter that is open to the outside, or to the image's edge, has none."""
    image = np.zeros((7, 7, 16), np.int16)
    image[1:6, 1:6, 1:6] = 5
    image[2:5, 2:5, 2:5] = 0  # A hole of 27 voxels.
    image[1:6, 1:6, 9:14] = 5
    image[2:5, 2:5, 9:12] = 0  # A bay that opens to the left.
    expected = image != 0
    expected[2:5, 2:5, 2:5] = True
    np.testing.assert_array_equal(nonzero_filled((image,)), expected)
    np.testing.assert_array_equal(binary_fill_holes(image != 0), expected)
    at_the_edge = image[:, :, :4]  # The hole reaches the image's edge, so it is a bay too.
    np.testing.assert_array_equal(nonzero_filled((at_the_edge,)), at_the_edge != 0)


def test_holes_are_those_of_scipy_whatever_their_shape():
    for seed in range(5):
        image = (np.random.default_rng(seed).random((9, 10, 11)) < 0.7).astype(np.int16)
        np.testing.assert_array_equal(nonzero_filled((image,)), binary_fill_holes(image))


def test_a_voxel_counts_that_any_channel_fills():
    first, second = np.zeros((2, 1, 4, 5), np.int16)
    first[0, 1, 1], second[0, 2, 3] = 4, -1
    found = nonzero_filled((first, second))
    assert np.argwhere(found).tolist() == [[0, 1, 1], [0, 2, 3]]
    assert first[0, 2, 3] == 0, "the input must stay as it is"
