"""Distances of simple bodies at points where they are known."""

import numpy as np
import pytest

from tests.training.phantom.plain import plain_frame
from training.phantom.shapes import (
    curve,
    ellipsoid,
    gradient_norm,
    path_bounds,
    profile,
    slab_segment,
    slope,
    smooth_max,
    smooth_min,
    superellipse,
    tube,
)

MIDDLE = 20
"""Index of the canonical origin in `plain_frame()`; a point every 2 mm."""


def array(*values):
    return np.array(values, np.float32)


def test_a_ball_knows_its_distance_everywhere():
    whole = plain_frame().whole()
    distance = ellipsoid(whole, (2.0, -4.0, 6.0), (10.0, 10.0, 10.0))
    true = np.sqrt((whole.x - 2) ** 2 + (whole.y + 4) ** 2 + (whole.z - 6) ** 2) - 10
    np.testing.assert_allclose(distance, true, atol=1e-3)


def test_an_ellipsoid_is_zero_at_the_ends_of_its_axes_and_negative_inside():
    whole = plain_frame().whole()
    distance = ellipsoid(whole, (0.0, 0.0, 0.0), (20.0, 10.0, 30.0))
    row, column, slices = distance[MIDDLE, MIDDLE], distance[MIDDLE, :, MIDDLE], distance[:, MIDDLE, MIDDLE]
    assert row[MIDDLE + 10] == pytest.approx(0, abs=1e-4)
    assert column[MIDDLE + 5] == pytest.approx(0, abs=1e-4)
    assert slices[MIDDLE + 15] == pytest.approx(0, abs=1e-4)
    assert row[MIDDLE + 9] < 0 < row[MIDDLE + 11]
    assert distance[MIDDLE, MIDDLE, MIDDLE] == pytest.approx(-10)


def test_a_tilt_turns_the_axes():
    whole = plain_frame().whole()
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = ellipsoid(whole, (0, 0, 0), (20, 10, 10), quarter)
    straight = ellipsoid(whole, (0, 0, 0), (10, 20, 10))
    np.testing.assert_allclose(turned, straight, atol=1e-3)


def test_smooth_union_and_intersection_are_plain_ones_away_from_the_seam():
    a, b = array(-5, 3, 0), array(4, -9, 20)
    np.testing.assert_allclose(smooth_min(a, b, 2.0), np.minimum(a, b))
    np.testing.assert_allclose(smooth_max(a, b, 2.0), np.maximum(a, b))


def test_at_the_seam_a_union_is_rounded_by_a_quarter_of_the_radius():
    same = array(1.0)
    assert smooth_min(same, same, 8.0)[0] == pytest.approx(1 - 2)
    assert smooth_max(same, same, 8.0)[0] == pytest.approx(1 + 2)


def test_a_curve_passes_its_control_points_and_carries_the_radius():
    path = curve([(0, 0, 0, 1), (10, 0, 0, 3), (10, 20, 0, 2)], spacing_mm=1.0)
    assert len(path) == 31
    np.testing.assert_allclose(path[[0, 10, 30]], [(0, 0, 0, 1), (10, 0, 0, 3), (10, 20, 0, 2)], atol=1e-9)
    steps = np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1)
    assert steps.max() < 2


def test_a_curve_of_points_that_coincide_is_still_one():
    assert np.isfinite(curve([(0, 0, 0, 1), (0, 0, 0, 1)], 2.0)).all()


def test_a_straight_tube_is_a_capsule():
    frame = plain_frame()
    whole = frame.whole()
    path = curve([(0, 0, -20, 6), (0, 0, 20, 6)], 1.0)
    distance = tube(frame, whole, path, reach_mm=8)
    assert distance[MIDDLE, MIDDLE, MIDDLE] == pytest.approx(-6, abs=0.1)
    assert distance[MIDDLE, MIDDLE, MIDDLE + 5] == pytest.approx(4, abs=0.1)
    assert distance[MIDDLE + 15, MIDDLE, MIDDLE] == pytest.approx(4, abs=0.1)
    assert distance[MIDDLE, MIDDLE, MIDDLE + 15] == 8  # Not known farther away.


def test_a_flattened_tube_is_wider_than_deep():
    frame = plain_frame()
    path = curve([(0, 0, -20, 6), (0, 0, 20, 6)], 1.0)
    distance = tube(frame, frame.whole(), path, flatten=(2.0, 0.5, 1.0))
    assert distance[MIDDLE, MIDDLE, MIDDLE + 5] < 0  # 10 mm to the side is 5 mm of the tube's own
    assert distance[MIDDLE, MIDDLE + 2, MIDDLE] > 0  # 4 mm back is 8 mm


def test_a_tube_outside_the_scan_is_nowhere():
    frame = plain_frame()
    far = curve([(500, 0, 0, 5), (500, 0, 50, 5)], 2.0)
    assert (tube(frame, frame.whole(), far, reach_mm=6) == 6).all()
    assert frame.region(*path_bounds(far)).empty


def test_the_box_around_a_path_holds_its_radius():
    path = np.array([(0.0, 0, 0, 2), (10, 0, -5, 4)])
    low, high = path_bounds(path, flatten=(2.0, 1.0, 1.0))
    assert (low, high) == ((-4, -4, -9), (18, 4, 2))


def test_a_superellipse_of_power_2_is_an_ellipse_and_of_a_high_power_a_box():
    x, y = array(30, 0, 27), array(0, 20, 18)
    half_x, half_y = array(30, 30, 30), array(20, 20, 20)
    ellipse = superellipse(x, y, half_x, half_y, 2)
    assert ellipse[:2] == pytest.approx([0, 0], abs=1e-4)
    assert ellipse[2] > 0
    assert superellipse(x, y, half_x, half_y, 20)[2] < 0


def test_a_plate_has_half_its_thickness_on_either_side():
    whole = plain_frame().whole()
    distance = slab_segment(whole, (-10.0, 0.0), (10.0, 0.0), thickness=8.0)[MIDDLE]
    assert distance[MIDDLE, MIDDLE] == -4
    assert distance[MIDDLE + 2, MIDDLE] == 0
    assert distance[MIDDLE, MIDDLE + 10] == pytest.approx(6)  # 20 mm, 10 beyond the end


def test_a_profile_is_linear_between_knots_and_constant_beyond():
    found = profile(array(-50, -10, 0, 5, 10, 99), [(-10, 2), (10, 6)])
    np.testing.assert_allclose(found, [2, 2, 4, 5, 6, 6], atol=0.06)


def test_slopes_of_a_ramp_are_twice_its_step_at_the_ends_too():
    ramp = 3 * np.arange(5, dtype=np.float32)
    assert slope(ramp, 0).tolist() == [6, 6, 6, 6, 6]


def test_the_gradient_of_a_distance_has_length_1():
    frame = plain_frame()
    distance = ellipsoid(frame.whole(), (0, 0, 0), (15, 15, 15))
    norm = gradient_norm(distance, [1 / frame.step_mm] * 3)
    away = np.abs(distance) < 8
    np.testing.assert_allclose(norm[away], 1, atol=0.06)
