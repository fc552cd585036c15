"""Reading label maps, and comparing where they lie."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from eval.eval_errors import JudgingError
from eval.image_files import read_image
from eval.volumes import grid_difference, onto_grid, read_labels
from tests.eval.made import write

LABELS = np.zeros((4, 5, 6), np.uint8)
LABELS[1:3, 1:4, 2:5] = 7
TURNED = (0, -1, 0, 1, 0, 0, 0, 0, 1)
"""Columns along y, rows against x."""


def image(shape=(4, 5, 6), spacing_zyx_mm=(2.5, 0.8, 0.9), origin=(0.0, 0.0, 0.0), direction=None):
    made = sitk.GetImageFromArray(np.zeros(shape, np.uint8))
    made.SetSpacing(spacing_zyx_mm[::-1])
    made.SetOrigin(origin)
    if direction is not None:
        made.SetDirection(direction)
    return made


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("pixel", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_label_maps_of_any_format_and_pixel_type(tmp_path, suffix, pixel):
    volume = read_labels(write(tmp_path / f"a{suffix}", LABELS.astype(pixel)))
    assert volume.labels.dtype == np.uint8
    assert np.array_equal(volume.labels, LABELS)
    assert volume.spacing_zyx_mm == pytest.approx((2.5, 0.8, 0.9))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-1, "-1 to 7"),
        (256, "0 to 256"),
        (0.5, "whole numbers"),
        (np.nan, "label map"),
        (np.inf, "label map"),
    ],
)
def test_what_is_no_label_map(tmp_path, value, said):
    # As MetaImage: of NIfTI, ITK reads 0 where a number is not finite.
    wrong = LABELS.astype(np.float32)
    wrong[0, 0, 0] = value
    with pytest.raises(JudgingError, match=f"a.mha.*{said}"):
        read_labels(write(tmp_path / "a.mha", wrong))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, None),
        ({"shape": (4, 5, 7)}, "6×5×4 and 7×5×4"),
        ({"origin": (0.0, 0.0, 2.5)}, "2.50 mm"),
        ({"origin": (0.0, 3.0, 4.0)}, "5.00 mm"),
        ({"origin": (0.01, 0.0, 0.0)}, None),
        ({"origin": (0.05, 0.0, 0.0)}, "0.05 mm"),
        ({"spacing_zyx_mm": (2.6, 0.8, 0.9)}, "0.30 mm"),
        ({"spacing_zyx_mm": (2.5001, 0.8, 0.9)}, None),
        ({"direction": (1, 0, 0, 0, 1, 0, 0, 0, -1)}, "15.00 mm"),
        ({"direction": TURNED}, "mm apart"),
    ],
)
def test_grids_differ_by_size_or_by_where_their_corners_lie(other, said):
    # 4 slices of 2.5 mm: the outermost centres are 7.5 mm apart, so a flip moves them by 15 mm at most.
    difference = grid_difference(image(), image(**other))
    assert (difference is None) if said is None else said in difference
    assert (grid_difference(image(**other), image()) is None) is (difference is None)


@pytest.mark.parametrize(
    ("direction", "axis"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), 0),
        ((1, 0, 0, 0, 1, 0, 0, 0, -1), 0),
        ((1, 0, 0, 0, 0, 1, 0, -1, 0), 1),
        ((0, 0, 1, 0, 1, 0, -1, 0, 0), 2),
        ((1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8), 0),
        ((1, 0, 0, 0, 0.6, -0.8, 0, 0.8, 0.6), 1),
    ],
)
def test_the_head_is_along_the_axis_that_runs_closest_to_it(tmp_path, direction, axis):
    assert read_labels(write(tmp_path / "a.nii.gz", LABELS, direction=direction)).head_axis == axis


@pytest.mark.parametrize("stored", ["LPS", "RAI", "ASL", "SPR"])
def test_a_map_moved_onto_another_order_of_axes_and_back(tmp_path, stored):
    volume = read_labels(write(tmp_path / "a.nii.gz", LABELS))
    turned = onto_grid(volume, sitk.DICOMOrient(volume.as_image(), stored))
    assert np.count_nonzero(turned.labels == 7) == np.count_nonzero(LABELS == 7)
    assert np.array_equal(onto_grid(turned, volume.grid).labels, LABELS)


def test_labels_outside_the_other_grid_are_no_small_loss(tmp_path):
    volume = read_labels(
        write(tmp_path / "a.nii.gz", np.full((4, 5, 6), 1, np.uint8), (10, 10, 10), (0, 0, 0))
    )
    # The other image lacks the topmost of four slices: 30 voxels of 1 ml.
    with pytest.raises(JudgingError, match=r"a\.nii\.gz: 30 ml"):
        onto_grid(volume, image((3, 5, 6), (10.0, 10.0, 10.0)))
    assert onto_grid(volume, image((5, 5, 6), (10.0, 10.0, 10.0))).labels.sum() == 4 * 5 * 6


def test_finer_voxels_take_the_label_nearest_to_their_centre(tmp_path):
    # Voxels of 2 mm, centres at 0, 2, 4 mm; on a grid of 1 mm that starts at −0.5 mm there are two for each.
    volume = read_labels(
        write(tmp_path / "a.nii.gz", np.array([[[1, 2, 3]]], np.uint8), (1, 1, 2), (0, 0, 0))
    )
    moved = onto_grid(volume, image((1, 1, 6), (1.0, 1.0, 1.0), (-0.5, 0.0, 0.0)))
    assert moved.labels.ravel().tolist() == [1, 1, 2, 2, 3, 3]


def test_voxels_that_reach_over_the_rim_are_in_the_other_grid(tmp_path):
    """Five voxels of 2 mm over nine slices of 1 mm: the centre of the last lies on the edge, at 8.5 mm."""
    volume = read_labels(
        write(tmp_path / "a.nii.gz", np.full((5, 1, 1), 1, np.uint8), (2, 1, 1), (0, 0, 0.5))
    )
    grid = image((9, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    assert onto_grid(volume, grid).labels.ravel().tolist() == [1] * 9
    # A sixth one, from 9.5 to 11.5 mm, lies beyond the last slice, which ends at 8.5 mm.
    volume = read_labels(
        write(tmp_path / "b.nii.gz", np.full((6, 1, 1), 1, np.uint8), (2, 1, 1), (0, 0, 0.5))
    )
    with pytest.raises(JudgingError, match=r"0\.002 ml of labels lie outside"):
        onto_grid(volume, grid)


@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_no_label_vanishes_between_coarser_voxels(tmp_path, signs):
    """Voxels of 1 mm beside the centres of voxels of 3 mm are given to those that they lie in."""
    labels = np.zeros((3, 3, 6), np.uint8)
    labels[0, 1, 0] = 5
    labels[2, 2, 5] = 7
    turned = np.diag(signs).ravel().tolist()
    volume = read_labels(write(tmp_path / "a.nii.gz", labels, (1, 1, 1), (0, 0, 0), direction=turned))
    # The first of two voxels has its centre at the second voxel along each axis.
    moved = onto_grid(volume, image((1, 1, 2), (3.0, 3.0, 3.0), signs, turned))
    assert moved.labels.ravel().tolist() == [5, 7]


def test_a_label_takes_no_other_ones_last_voxel(tmp_path):
    """Voxels of 1 mm onto two of 3 mm, centres at 1 and 4 mm: the first is 3, and 1 beside it is lost.

    2 takes the background of the second, and 4 comes too late for it.
    """
    labels = np.array([[[1, 3, 3, 2, 0, 4]]], np.uint8)
    volume = read_labels(write(tmp_path / "a.nii.gz", labels, (1, 1, 1), (0, 0, 0)))
    moved = onto_grid(volume, image((1, 1, 2), (1.0, 1.0, 3.0), (1.0, 0.0, 0.0)))
    assert moved.labels.ravel().tolist() == [3, 2]


def test_labels_as_an_image_keep_their_geometry(tmp_path):
    for number, signs in enumerate(itertools.product((1, -1), repeat=3)):
        path = write(tmp_path / f"{number}.nii.gz", LABELS, direction=np.diag(signs).ravel().tolist())
        volume = read_labels(path)
        assert grid_difference(volume.as_image(), read_image(path)) is None
        assert np.array_equal(sitk.GetArrayFromImage(volume.as_image()), LABELS)
