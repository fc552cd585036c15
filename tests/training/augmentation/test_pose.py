"""Patches of batches lie where they should, and image and labels move together."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from model.manifest.intensity import NoIntensity
from training.augmentation.draws import draw_matrix
from training.augmentation.patches import augment_batch, needed_crop
from training.augmentation.pose import Pose, draw_pose_of, look, middle
from training.recipes.augmentation_options import (
    Augmentation,
    Elastic,
    Flips,
    Rotation,
    Scaling,
)

CPU = torch.device("cpu")
QUARTER = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
TILTED = Augmentation(
    rotation=Rotation(axial_deg=25, other_deg=15), scaling=Scaling(size=(0.8, 1.2), axes="all")
)
AXIAL = Augmentation(rotation=Rotation(axial_deg=30), scaling=Scaling(size=(0.7, 1.4)))


def wide(patch_zyx):
    """A crop that does for any pose of such a patch."""
    return tuple(3 * n for n in patch_zyx)


def numbered(*shape):
    """Crops in which each voxel has a value of its own, and labels that go with it."""
    values = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape)
    return torch.tensor(values, dtype=torch.float32)[:, None], torch.tensor(values % 251, dtype=torch.uint8)


def seen(matrix, patch_zyx, crops, labels, displacement=None):
    image, target = look(crops[0], labels[0], Pose(matrix=matrix, displacement=displacement), patch_zyx)
    return image[None], target[None]


def augmented(options, crops, labels, keys, patch_zyx):
    return augment_batch(crops, labels, keys, options, patch_zyx, (NoIntensity(),), CPU)


def test_without_options_the_patch_is_the_middle_of_the_crop_to_the_bit():
    crops, labels = numbered(2, 6, 8, 10)
    before = crops.clone()
    images, target = augmented(Augmentation(), crops, labels, [(0, 0), (0, 1)], (4, 4, 8))
    assert torch.equal(images, crops[:, :, 1:5, 2:6, 1:9])
    assert torch.equal(target, labels[:, 1:5, 2:6, 1:9])
    assert (images.dtype, target.dtype) == (torch.float32, torch.uint8)
    images.zero_()
    assert torch.equal(crops, before)


@pytest.mark.parametrize("turn", [QUARTER, QUARTER @ np.diag([-1.0, 1, 1])])
def test_a_quarter_turn_of_the_axial_plane_is_rot90(turn):
    crops, labels = numbered(1, 4, 8, 8)
    images, target = seen(turn, (4, 8, 8), crops, labels)
    flipped = slice(None, None, -1) if turn[0, 0] < 0 else slice(None)
    expected = np.rot90(crops[0, 0].numpy()[flipped], k=-1, axes=(1, 2))
    np.testing.assert_allclose(images[0, 0], expected, atol=1e-3)
    np.testing.assert_array_equal(target[0], np.rot90(labels[0].numpy()[flipped], k=-1, axes=(1, 2)))


def test_a_quarter_turn_of_the_sagittal_plane_is_rot90():
    crops, labels = numbered(1, 6, 6, 4)
    turn = np.array([[0, -1.0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    images, target = seen(turn, (6, 6, 4), crops, labels)
    np.testing.assert_allclose(images[0, 0], np.rot90(crops[0, 0].numpy(), k=-1, axes=(0, 1)), atol=1e-3)
    np.testing.assert_array_equal(target[0], np.rot90(labels[0].numpy(), k=-1, axes=(0, 1)))


@pytest.mark.parametrize(("options", "is_axial"), [(AXIAL, True), (TILTED, False)])
def test_patches_are_those_that_scipy_cuts(options, is_axial):
    patch_zyx = (8, 10, 12)
    crops, labels = numbered(1, *wide(patch_zyx))
    for number in range(4):
        matrix = draw_matrix(options, (3, number))
        assert Pose(matrix=matrix).is_axial == is_axial
        images, target = seen(matrix, patch_zyx, crops, labels)
        # Voxel 0 of n lies (n - 1) / 2 before the middle.
        middles = [(np.array(size) - 1) / 2 for size in (labels.shape[1:], patch_zyx)]
        offset = middles[0] - matrix @ middles[1]
        expected, ids = (
            ndimage.affine_transform(
                array[0].numpy(), matrix, offset, patch_zyx, order=order, prefilter=False
            )
            for array, order in ((crops[:, 0], 1), (labels, 0))
        )
        np.testing.assert_allclose(images[0, 0], expected, atol=0.05)  # of values to 10⁴
        assert (target[0].numpy() != ids).mean() < 0.002  # rounding half-way between voxels


def test_2d_and_3d_sampling_agree():
    crops, labels = numbered(1, 6, 12, 12)
    angle = 0.3
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    hardly = turn.copy()
    hardly[0, 1] = 1e-9  # enough to be taken for a turn in 3D
    assert Pose(matrix=turn).is_axial
    assert not Pose(matrix=hardly).is_axial
    axial, free = (seen(matrix, (6, 8, 8), crops, labels) for matrix in (turn, hardly))
    torch.testing.assert_close(axial[0], free[0], rtol=0, atol=1e-2)
    assert torch.equal(axial[1], free[1])


def test_scaling_along_z_interpolates_between_slices():
    crops = torch.tensor([0.0, 10.0, 20.0, 30.0]).reshape(1, 1, 4, 1, 1)
    labels = torch.tensor([0, 1, 2, 3], dtype=torch.uint8).reshape(1, 4, 1, 1)
    images, target = seen(np.diag([0.5, 1.0, 1.0]), (4, 1, 1), crops, labels)
    # Voxels of the patch lie at 0.75, 1.25, 1.75 and 2.25 of the crop's.
    assert images.flatten().tolist() == [7.5, 12.5, 17.5, 22.5]
    assert target.flatten().tolist() == [1, 1, 2, 2]


def test_beyond_the_crop_is_air_and_background():
    crops, labels = torch.ones(1, 1, 4, 4, 4), torch.ones(1, 4, 4, 4, dtype=torch.uint8)
    images, target = seen(np.diag([2.0, 2.0, 2.0]), (4, 4, 4), crops, labels)
    assert target[0, 1, 1].tolist() == [0, 1, 1, 0]
    assert images[0, 0, 1, 1].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "options",
    [
        AXIAL,
        TILTED,
        Augmentation(elastic=Elastic(every_voxels=8, displacement_voxels=3)),
        Augmentation(elastic=Elastic(every_voxels=8, displacement_voxels=3, axes="all")),
        Augmentation(rotation=Rotation(), elastic=Elastic(), flips=Flips(axes=("z", "y", "x"))),
    ],
)
def test_a_cube_and_its_label_stay_together(options):
    patch_zyx = (16, 20, 20)
    size = wide(patch_zyx)
    labels = torch.zeros(2, *size, dtype=torch.uint8)
    middle = [n // 2 for n in size]
    labels[:, middle[0] - 3 : middle[0] + 4, middle[1] - 5 : middle[1] + 3, middle[2] - 3 :][..., :8] = 1
    crops = labels[:, None].float()
    images, target = augmented(options, crops, labels, [(0, 1), (0, 2)], patch_zyx)
    assert not torch.equal(target[0], target[1])
    # Linear interpolation of the cube is above 1/2 where the nearest voxel is the cube's, but for corners.
    wrong = (images[:, 0] > 0.5) != (target == 1)
    assert target.sum() > 500
    assert wrong.sum() < 0.1 * target.sum()
    assert ((images[:, 0] > 0.9) & (target == 0)).sum() == 0


def test_flips_are_along_the_axes_stated_and_no_others():
    crops = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    labels = crops[:, 0].to(torch.uint8)
    options = Augmentation(flips=Flips(axes=("z", "x")))
    found = set()
    for number in range(40):
        images, target = augmented(options, crops, labels, [(0, number)], (2, 2, 2))
        assert torch.equal(images[:, 0], target.float())
        found.add(int(target[0, 0, 0, 0]))
    assert found == {0, 1, 4, 5}  # never y, whose stride is 2


def test_sizes_and_angles_stay_in_their_ranges():
    matrices = [draw_matrix(AXIAL, (0, number)) for number in range(300)]
    sizes = [1 / np.hypot(matrix[1, 1], matrix[2, 1]) for matrix in matrices]
    angles = [np.degrees(np.arctan2(matrix[2, 1], matrix[1, 1])) for matrix in matrices]
    assert 0.7 <= min(sizes) < 0.75 < 1.3 < max(sizes) <= 1.4
    assert 120 < sum(size < 1 for size in sizes) < 180
    assert -30 <= min(angles) < -27 < 27 < max(angles) <= 30
    assert all(matrix[0].tolist() == [1, 0, 0] and not matrix[1:, 0].any() for matrix in matrices)


@pytest.mark.parametrize("chance", [0.0, 0.25])
def test_turns_are_as_frequent_as_their_chance(chance):
    options = Augmentation(rotation=Rotation(chance=chance))
    turned = sum(not Pose(matrix=draw_matrix(options, (0, number))).only_mirrors for number in range(1000))
    assert abs(turned - 1000 * chance) <= 55  # four standard deviations


def test_displacements_stay_in_their_range_and_are_smooth():
    options = Augmentation(elastic=Elastic(every_voxels=8, displacement_voxels=3, axes="all"))
    patch_zyx = (16, 24, 24)
    size = wide(patch_zyx)
    places = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in size], indexing="ij"))
    labels = torch.zeros(1, *size, dtype=torch.uint8)
    pose = draw_pose_of(options, (0, 0), patch_zyx)
    image, _ = look(places, labels[0], pose, patch_zyx)
    inside = middle(size, patch_zyx)
    moved = image - places[:, *inside]
    assert 1 < moved.abs().max() <= 3
    for axis in range(1, 4):
        assert moved.diff(dim=axis).abs().max() < 1


def test_axial_displacements_are_alike_in_all_slices():
    options = Augmentation(elastic=Elastic(every_voxels=4, displacement_voxels=2))
    size = wide((3, 8, 8))
    plane = torch.rand(1, 1, 1, *size[1:]).expand(-1, -1, size[0], -1, -1)
    labels = torch.zeros(1, *size, dtype=torch.uint8)
    images, _ = augmented(options, plane, labels, [(0, 0)], (3, 8, 8))
    assert torch.equal(images[0, 0, 0], images[0, 0, 2])
    assert not torch.equal(images[0, 0, 0], plane[0, 0, 0, 8:-8, 8:-8])


@pytest.mark.parametrize("options", [AXIAL, TILTED])
def test_nothing_from_beyond_a_wide_crop_comes_in(options):
    """A crop of ones stays one."""
    patch_zyx = (6, 10, 14)
    size = wide(patch_zyx)
    keys = [(5, number) for number in range(50)]
    crops = torch.ones(1, 1, *size).expand(len(keys), -1, -1, -1, -1)
    labels = torch.ones(1, *size, dtype=torch.uint8).expand(len(keys), -1, -1, -1)
    images, target = augmented(options, crops, labels, keys, patch_zyx)
    assert target.min() == 1
    assert images.min() > 0.9999


@pytest.mark.parametrize("options", [AXIAL, TILTED, Augmentation(elastic=Elastic(axes="all"))])
def test_a_pose_needs_no_more_than_its_own_crop(options):
    """The patch of a crop as large as any may need is, to the bit, that of the part that this one needs."""
    patch_zyx = (6, 9, 12)
    crops, labels = numbered(1, *wide(patch_zyx))
    for number in range(5):
        key = (1, number)
        needed = needed_crop(options, key, patch_zyx)
        assert all(n <= m for n, m in zip(needed, labels.shape[1:], strict=True))
        inside = middle(labels.shape[1:], needed)
        whole = augmented(options, crops, labels, [key], patch_zyx)
        part = augmented(options, crops[:, :, *inside], labels[:, *inside], [key], patch_zyx)
        assert torch.equal(whole[0], part[0])
        assert torch.equal(whole[1], part[1])


def test_a_crop_by_hand():
    # A patch of 8 × 8 in the plane: 3.5 · √2 = 4.9 from its middle, 1.4 beyond it, 2 voxels on each side.
    turn = np.sqrt(0.5) * np.array([[1, -1], [1, 1]])
    matrix = np.eye(3)
    matrix[1:, 1:] = turn
    assert Pose(matrix=matrix).crop_size((8, 8, 8)) == (8, 12, 12)
    assert Pose(matrix=np.diag([1.0, -1.0, 1.0])).crop_size((8, 8, 8)) == (8, 8, 8)
