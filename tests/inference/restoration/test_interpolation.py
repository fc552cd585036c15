"""Positions by hand; interpolation that is the same for a part as for the whole."""

import itertools

import numpy as np
import pytest

from inference.restoration.interpolation import axis_positions, interpolate, interpolate_axis


def test_positions_by_hand():
    up = axis_positions(2, 4)
    assert up.low.tolist() == [0, 0, 0, 1]
    assert up.high.tolist() == [0, 1, 1, 1]
    assert up.share.tolist() == [0, 0.25, 0.75, 0]
    down = axis_positions(4, 2)
    assert (down.low.tolist(), down.share.tolist()) == ([0, 2], [0.5, 0.5])
    one = axis_positions(1, 3)
    assert one.low.tolist() == one.high.tolist() == [0, 0, 0]


def test_nearest_positions_by_hand():
    up = axis_positions(2, 4, "nearest")
    assert (up.low.tolist(), up.high.tolist(), up.share.tolist()) == ([0, 0, 1, 1], [0, 0, 1, 1], [0] * 4)
    # Output voxels lie at 0.25 and 1.75 of three: voxels 0 and 2; at 0.5 and 2.5 of four: voxels 1 and 3.
    assert axis_positions(3, 2, "nearest").low.tolist() == [0, 2]
    assert axis_positions(4, 2, "nearest").low.tolist() == [1, 3]


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_positions_stay_inside(kind):
    for size_in, size_out in itertools.product((1, 2, 3, 7, 100, 333), repeat=2):
        positions = axis_positions(size_in, size_out, kind)
        assert positions.low.min() >= 0
        assert positions.high.max() <= size_in - 1
        assert positions.share.min() >= 0
        assert positions.share.max() < 1
        assert np.all(positions.high - positions.low <= 1)


def test_same_size_changes_nothing():
    array = np.random.default_rng(0).random((3, 4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(interpolate(array, (4, 5, 6)), array)


def test_linear_functions_are_kept():
    ramp = np.broadcast_to(np.arange(10, dtype=np.float32), (1, 2, 3, 10))
    np.testing.assert_allclose(
        interpolate(ramp, (2, 3, 20))[0, 0, 0, 1:-1], np.arange(1, 19) / 2 - 0.25, atol=1e-6
    )


def test_a_part_is_interpolated_as_in_the_whole():
    array = np.random.default_rng(1).random((2, 7, 4, 5)).astype(np.float32)
    positions = axis_positions(7, 19)
    whole = interpolate_axis(array, positions, 1)
    part = positions.part(4, 11, origin=1)
    np.testing.assert_array_equal(interpolate_axis(array[:, 1:6], part, 1), whole[:, 4:11])
