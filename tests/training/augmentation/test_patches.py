"""Patches: where they are drawn, what they hold, and that the same generator gives the same patch."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.tiny import grid_case
from training.augmentation.patches import (
    channel_points,
    cut,
    draw_centre,
    draw_patch,
    draw_pose,
    draw_slab,
    vary_intensity,
)
from training.recipes.recipe import Augmentation

STILL = Augmentation(affine_chance=0, intensity_chance=0, noise_chance=0, blur_chance=0)


def ramp_case(shape=(6, 8, 10)):
    """Each voxel has a value of its own, also in half floats, and a channel that goes with it."""
    values = np.arange(np.prod(shape)).reshape(shape)
    return grid_case((values % 5).astype(np.uint8), values / 1024)


def test_centres_are_drawn_equally_often_from_each_channel_however_small():
    channels = np.zeros((20, 20, 20), np.uint8)
    channels[5:15, 5:15, 5:15] = 1
    channels[9:11, 9, 9] = 2  # two voxels of 8000
    case = grid_case(channels)
    rng = np.random.default_rng(0)
    drawn = [int(channels[tuple(draw_centre(case, (2, 2, 2), rng).astype(int))]) for _ in range(3000)]
    # Each a third: 1000 of 3000, standard deviation 26.
    assert np.bincount(drawn) == pytest.approx([1000, 1000, 1000], abs=130)


def test_the_background_can_have_a_share_of_its_own():
    channels = np.zeros((20, 20, 20), np.uint8)
    channels[5:15, 5:15, 5:15] = 1
    channels[9:11, 9, 9] = 2
    case = grid_case(channels, channels)
    rng = np.random.default_rng(0)
    drawn = [
        int(channels[tuple(draw_centre(case, (2, 2, 2), rng, background_share=0.5).astype(int))])
        for _ in range(2000)
    ]
    # A half, and a quarter for each structure: standard deviations 22 and 19.
    assert np.bincount(drawn) == pytest.approx([1000, 500, 500], abs=110)


def test_channel_points_lie_in_their_channel_and_skip_absent_ones():
    channels = np.zeros((20, 20, 20), np.uint8)
    channels[3, 4, 5:7] = 3
    background, third = channel_points(channels, np.random.default_rng(0))
    assert len(background) == 4096
    assert (channels[tuple(background.T)] == 0).all()
    assert third.tolist() == [[3, 4, 5], [3, 4, 6]]


def test_a_slab_holds_the_slices_of_a_shorter_scan():
    channels = np.zeros((20, 6, 6), np.uint8)
    channels[4, 2, 2:4] = 1
    channels[15, 3, 3] = 2
    case = grid_case(channels, np.arange(720).reshape(20, 6, 6) / 1024)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        slab = draw_slab(case, Augmentation(slab_chance=1.0, slab_voxels=(3, 5)), rng)
        start = round(float(slab.image[0, 0, 0]) * 1024) // 36
        assert 3 <= len(slab.image) <= 5
        assert np.array_equal(slab.image, case.image[start : start + len(slab.image)])
        assert np.array_equal(slab.channels, channels[start : start + len(slab.channels)])
        for points in slab.points:
            assert len(np.unique(slab.channels[tuple(points.T)])) == 1
        seen |= set(np.unique(slab.channels))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(("chance", "depths"), [(0.0, {12}), (1.0, {3, 4, 5})])
def test_patches_show_nothing_beyond_their_slab(chance, depths):
    case = grid_case(np.ones((20, 6, 6), np.uint8), np.ones((20, 6, 6)))
    augmentation = replace(STILL, slab_chance=chance, slab_voxels=(3, 5))
    rng = np.random.default_rng(0)
    drawn = [draw_patch(case, (12, 6, 6), augmentation, rng) for _ in range(40)]
    assert {int(image.any(axis=(1, 2)).sum()) for image, _ in drawn} == depths
    assert all(np.array_equal(image > 0, channels > 0) for image, channels in drawn)


def test_a_patch_near_the_border_is_moved_inwards():
    channels = np.zeros((8, 8, 8), np.uint8)
    channels[0, 0, 0] = 1
    case = grid_case(channels)
    rng = np.random.default_rng(0)
    centres = np.array([draw_centre(case, (4, 4, 4), rng) for _ in range(50)])
    assert centres.min() == 2
    assert centres.max() <= 6


def test_an_image_smaller_than_the_patch_lies_in_its_middle_with_air_around():
    case = grid_case(np.ones((2, 4, 4), np.uint8), np.ones((2, 4, 4)))
    centre = draw_centre(case, (4, 4, 4), np.random.default_rng(0))
    image, channels = cut(case, centre, (4, 4, 4), None)
    assert image[:, 0, 0].tolist() == [0, 1, 1, 0]
    assert channels[:, 0, 0].tolist() == [0, 1, 1, 0]


def test_without_pose_a_patch_is_a_plain_slice():
    case = ramp_case()
    image, channels = cut(case, np.array([3.0, 4.0, 5.0]), (2, 4, 6), None)
    np.testing.assert_array_equal(image, case.image[2:4, 2:6, 2:8])
    np.testing.assert_array_equal(channels, case.channels[2:4, 2:6, 2:8])


def test_the_identity_pose_is_the_plain_slice():
    case = ramp_case()
    centre = np.array([3.0, 4.0, 5.0])
    moved, still = cut(case, centre, (2, 4, 6), np.eye(3)), cut(case, centre, (2, 4, 6), None)
    np.testing.assert_allclose(moved[0], still[0], atol=1e-6)
    np.testing.assert_array_equal(moved[1], still[1])


def test_a_quarter_turn_turns_the_axial_plane_only_and_image_and_channels_alike():
    case = ramp_case((4, 8, 8))
    quarter = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    image, channels = cut(case, np.array([2.0, 4.0, 4.0]), (4, 4, 4), quarter)
    np.testing.assert_allclose(image, np.rot90(case.image[:, 2:6, 2:6], axes=(1, 2), k=-1), atol=1e-6)
    np.testing.assert_array_equal(channels, np.rot90(case.channels[:, 2:6, 2:6], axes=(1, 2), k=-1))


def test_a_scaled_pose_reaches_beyond_the_image_as_air():
    case = grid_case(np.ones((4, 4, 4), np.uint8), np.ones((4, 4, 4)))
    image, channels = cut(case, np.array([2.0, 2.0, 2.0]), (4, 4, 4), np.diag([1.0, 2.0, 2.0]))
    assert image[1, 0].tolist() == [0, 0, 0, 0]
    assert channels[1, 1].tolist() == [0, 1, 1, 0]


def test_poses_stay_in_their_limits_and_leave_z_out_of_the_rotation():
    rng = np.random.default_rng(0)
    poses = [draw_pose(Augmentation(affine_chance=1, rotation_deg=10, scale=0.2), rng) for _ in range(200)]
    in_plane = [np.hypot(pose[1, 1], pose[2, 1]) for pose in poses]
    angles = [np.degrees(np.arctan2(pose[2, 1], pose[1, 1])) for pose in poses]
    assert 0.8 <= min(in_plane) < 0.85 < 1.15 < max(in_plane) <= 1.2
    assert -10 <= min(angles) < -8 < 8 < max(angles) <= 10
    assert all(
        0.95 <= pose[0, 0] <= 1.05 and not pose[0, 1:].any() and not pose[1:, 0].any() for pose in poses
    )


def test_intensity_changes_stay_between_0_and_1_and_do_change():
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 4, 4)
    always = Augmentation(intensity_chance=1, noise_chance=1, blur_chance=1)
    varied = [vary_intensity(image, always, np.random.default_rng(seed)) for seed in range(20)]
    assert min(v.min() for v in varied) >= 0
    assert max(v.max() for v in varied) <= 1
    assert all(np.abs(v - image).max() > 0.005 and v.dtype == np.float32 for v in varied)


def test_nothing_is_changed_where_no_chance_is_given():
    case = ramp_case()
    image, channels = draw_patch(case, (6, 8, 10), STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(image, case.image)
    np.testing.assert_array_equal(channels, case.channels)


def test_flips_turn_image_and_channels_together():
    case = ramp_case()
    flip_x = Augmentation(
        affine_chance=0, intensity_chance=0, noise_chance=0, blur_chance=0, flip_axes=("x",)
    )
    patches = [draw_patch(case, (6, 8, 10), flip_x, np.random.default_rng(seed)) for seed in range(20)]
    turned = [np.array_equal(channels, case.channels[..., ::-1]) for _, channels in patches]
    assert 0 < sum(turned) < 20
    for (image, _), was_turned in zip(patches, turned, strict=True):
        np.testing.assert_array_equal(image, case.image[..., ::-1] if was_turned else case.image)


def test_the_same_generator_gives_the_same_patch():
    case = ramp_case()
    one, same, other = (
        draw_patch(case, (4, 4, 4), Augmentation(), np.random.default_rng((1, seed))) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert not np.array_equal(one[0], other[0])
