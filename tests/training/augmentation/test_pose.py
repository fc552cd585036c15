"""Poses: patches are cut where they should be, and image and channels move together."""

import numpy as np

from tests.training.tiny import grid_case
from training.augmentation.pose import cut, draw_pose, flip
from training.data.sampling import draw_centre
from training.recipes.augmentation_options import PatchAugmentation


def cut_from(case, centre, patch_zyx, matrix):
    return cut(case.image[0], case.channels, centre, patch_zyx, matrix)


def ramp_case(shape=(6, 8, 10)):
    """Each voxel has a value of its own, also in half floats, and a channel that goes with it."""
    values = np.arange(np.prod(shape)).reshape(shape)
    return grid_case((values % 5).astype(np.uint8), values / 1024)


def test_an_image_smaller_than_the_patch_lies_in_its_middle_with_air_around():
    case = grid_case(np.ones((2, 4, 4), np.uint8), np.ones((2, 4, 4)))
    centre = draw_centre(case, (4, 4, 4), np.random.default_rng(0))
    image, channels = cut_from(case, centre, (4, 4, 4), None)
    assert image[:, 0, 0].tolist() == [0, 1, 1, 0]
    assert channels[:, 0, 0].tolist() == [0, 1, 1, 0]


def test_without_pose_a_patch_is_a_plain_slice():
    case = ramp_case()
    image, channels = cut_from(case, np.array([3.0, 4.0, 5.0]), (2, 4, 6), None)
    np.testing.assert_array_equal(image, case.image[0, 2:4, 2:6, 2:8])
    np.testing.assert_array_equal(channels, case.channels[2:4, 2:6, 2:8])


def test_the_identity_pose_is_the_plain_slice():
    case = ramp_case()
    centre = np.array([3.0, 4.0, 5.0])
    moved, still = cut_from(case, centre, (2, 4, 6), np.eye(3)), cut_from(case, centre, (2, 4, 6), None)
    np.testing.assert_allclose(moved[0], still[0], atol=1e-6)
    np.testing.assert_array_equal(moved[1], still[1])


def test_a_quarter_turn_turns_the_axial_plane_only_and_image_and_channels_alike():
    case = ramp_case((4, 8, 8))
    quarter = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    image, channels = cut_from(case, np.array([2.0, 4.0, 4.0]), (4, 4, 4), quarter)
    np.testing.assert_allclose(image, np.rot90(case.image[0, :, 2:6, 2:6], axes=(1, 2), k=-1), atol=1e-6)
    np.testing.assert_array_equal(channels, np.rot90(case.channels[:, 2:6, 2:6], axes=(1, 2), k=-1))


def test_a_scaled_pose_reaches_beyond_the_image_as_air():
    case = grid_case(np.ones((4, 4, 4), np.uint8), np.ones((4, 4, 4)))
    image, channels = cut_from(case, np.array([2.0, 2.0, 2.0]), (4, 4, 4), np.diag([1.0, 2.0, 2.0]))
    assert image[1, 0].tolist() == [0, 0, 0, 0]
    assert channels[1, 1].tolist() == [0, 1, 1, 0]


def test_poses_stay_in_their_limits_and_leave_z_out_of_the_rotation():
    rng = np.random.default_rng(0)
    poses = [
        draw_pose(PatchAugmentation(affine_chance=1, rotation_deg=10, scale=0.2), rng) for _ in range(200)
    ]
    in_plane = [np.hypot(pose[1, 1], pose[2, 1]) for pose in poses]
    angles = [np.degrees(np.arctan2(pose[2, 1], pose[1, 1])) for pose in poses]
    assert 0.8 <= min(in_plane) < 0.85 < 1.15 < max(in_plane) <= 1.2
    assert -10 <= min(angles) < -8 < 8 < max(angles) <= 10
    assert all(
        0.95 <= pose[0, 0] <= 1.05 and not pose[0, 1:].any() and not pose[1:, 0].any() for pose in poses
    )


def test_a_pose_is_drawn_as_often_as_its_chance_says():
    rng = np.random.default_rng(0)
    assert all(draw_pose(PatchAugmentation(affine_chance=0), rng) is None for _ in range(20))
    drawn = sum(draw_pose(PatchAugmentation(affine_chance=0.3), rng) is not None for _ in range(2000))
    assert abs(drawn - 600) < 85  # four standard deviations


def test_half_a_voxel_in_the_image_is_interpolated_and_channels_take_the_nearest():
    case = grid_case(np.array([[[0, 0, 3, 3]]], np.uint8), np.array([[[0.0, 0.0, 1.0, 1.0]]]))
    stretched = np.diag([1.0, 1.0, 0.5])
    image, channels = cut_from(case, np.array([0.5, 0.5, 2.0]), (1, 1, 4), stretched)
    # Voxels of the patch lie at 0.75, 1.25, 1.75 and 2.25 of the image's voxel indices.
    np.testing.assert_allclose(image.ravel(), [0.0, 0.25, 0.75, 1.0], atol=1e-6)
    assert channels.ravel().tolist() == [0, 0, 3, 3]


def test_flips_are_along_the_axes_stated_and_no_others():
    image = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    channels = image.astype(np.uint8)
    seen = set()
    for seed in range(40):
        flipped, ids = flip(
            image, channels, PatchAugmentation(flip_axes=("z", "x")), np.random.default_rng(seed)
        )
        assert np.array_equal(flipped, ids)
        seen.add(int(ids[0, 0, 0]))
    assert seen == {0, 1, 4, 5}  # never y, whose stride is 2
