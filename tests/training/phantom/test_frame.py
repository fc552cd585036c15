"""The grid on which anatomy is drawn, and the way between scanner and patient."""

import numpy as np
import pytest

from tests.training.phantom.plain import plain_frame, plain_pose
from training.phantom.frame import random_pose, resample

POINTS = np.array([[0.0, 0, 0], [100, -50, 120], [-90, 60, -200]])


def test_the_plain_pose_changes_nothing():
    pose = plain_pose()
    np.testing.assert_allclose(pose.to_canonical(POINTS), POINTS)
    np.testing.assert_allclose(pose.to_scanner(POINTS), POINTS)


def test_a_larger_patient_reaches_farther_in_the_scanner():
    pose = plain_pose(size_xyz=(2.0, 1.0, 0.5))
    np.testing.assert_allclose(pose.to_scanner(POINTS), POINTS * [2, 1, 0.5])


def test_a_rotation_turns_canonical_axes_to_scanner_axes():
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    pose = plain_pose(rotation=quarter)
    # Canonical left becomes the second axis of the scanner.
    np.testing.assert_allclose(pose.to_scanner(np.array([10.0, 0, 0])), [0, 10, 0], atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_drawn_poses_can_be_undone_and_do_not_fold(seed):
    pose = random_pose(np.random.default_rng(seed))
    np.testing.assert_allclose(pose.to_canonical(pose.to_scanner(POINTS)), POINTS, atol=0.05)
    line = np.linspace(-150, 150, 301)
    for axis in range(3):
        along = np.zeros((301, 3))
        along[:, axis] = line
        assert (np.diff(pose.to_canonical(along)[:, axis]) > 0.2).all()


def test_drawn_bodies_differ_within_human_limits():
    sizes = np.array([random_pose(np.random.default_rng(seed)).size_xyz for seed in range(200)])
    assert sizes.min() > 0.6
    assert sizes.max() < 1.5
    assert sizes.std(axis=0).min() > 0.03


def test_a_rotation_is_one():
    for seed in range(10):
        rotation = random_pose(np.random.default_rng(seed)).rotation
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)


def test_every_point_knows_where_it_lies_in_the_patient():
    frame = plain_frame(half_mm=20, step_mm=2)
    whole = frame.whole()
    assert whole.shape == (21, 21, 21)
    assert (whole.x[3, 4, 5], whole.y[3, 4, 5], whole.z[3, 4, 5]) == pytest.approx((-10, -12, -14), abs=1e-3)


def test_a_region_covers_its_box_and_not_the_whole_grid():
    frame = plain_frame(half_mm=80)
    region = frame.region((-10, 0, 5), (10, 20, 15))
    assert region.x.min() <= -16
    assert region.x.max() >= 16
    assert region.y.max() >= 26
    assert region.z.min() <= -1
    assert region.x.size < frame.whole().x.size / 8
    np.testing.assert_array_equal(region.x, frame.whole().x[region.slices])


def test_a_region_outside_the_scan_is_empty():
    region = plain_frame().region((500, 0, 0), (510, 5, 5))
    assert region.empty
    assert region.shape == (0, 0, 0)


def test_the_halved_grid_is_every_second_point():
    frame = plain_frame(half_mm=20)
    half = frame.halved()
    np.testing.assert_allclose(half.whole().x, frame.whole().x[::2, ::2, ::2], atol=1e-3)


def test_noise_has_the_same_deviation_at_every_wavelength_and_features_of_its_own():
    frame = plain_frame(half_mm=80)
    whole = frame.whole()
    fine, coarse = (frame.noise(whole, mm, np.random.default_rng(0)) for mm in (10.0, 60.0))
    assert fine.std() == pytest.approx(0.65, abs=0.05)
    assert coarse.std() == pytest.approx(0.65, abs=0.2)
    step = [np.abs(np.diff(field, axis=0)).mean() for field in (fine, coarse)]
    assert step[0] > 3 * step[1]


def test_the_same_generator_gives_the_same_noise():
    frame = plain_frame(half_mm=20)
    one, same, other = (frame.noise(frame.whole(), 12, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_linear_resampling_reproduces_a_ramp():
    ramp = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 4, 3), np.float32)
    sampled = resample(ramp, [np.array([0.0, 0.5, 3.25, 4.0]), np.array([0.0, 2.5]), np.array([1.0])])
    np.testing.assert_allclose(sampled[:, 0, 0], [0.0, 0.5, 3.25, 4.0], atol=1e-6)


def test_cubic_resampling_keeps_a_ramp_and_smooths_a_peak():
    ramp = np.arange(9, dtype=np.float32)[:, None, None] * np.ones((9, 9, 9), np.float32)
    inside = [np.array([2.0, 3.5, 5.0]), np.array([4.0]), np.array([4.0])]
    np.testing.assert_allclose(resample(ramp, inside, cubic=True).ravel(), [2, 3.5, 5], atol=1e-5)
    peak = np.zeros((9, 9, 9), np.float32)
    peak[4, 4, 4] = 1
    # 4/6 along each axis at the knot itself.
    at = [np.array([4.0])] * 3
    assert resample(peak, at, cubic=True).item() == pytest.approx((4 / 6) ** 3, abs=1e-6)
