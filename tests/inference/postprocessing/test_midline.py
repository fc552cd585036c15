"""The line through the patient's middle: distances from it, and where it is taken from."""

import numpy as np
import pytest

from inference.geometry import Box, Geometry
from inference.imaging.reading import read_volume
from inference.imaging.volume import to_canonical
from inference.postprocessing.label_statistics import Found
from inference.postprocessing.midline import (
    Midline,
    body_middle,
    line_through,
    middle_by_organs,
    middle_of_image,
)
from inference.postprocessing.runs import find_runs
from model.labels import FLARE23
from tests.places import real_data

GRID = Geometry(size_zyx=(4, 5, 7), spacing_zyx_mm=(5.0, 10.0, 10.0))


def found(labels: np.ndarray) -> Found:
    z, y, x = np.nonzero(labels)
    stop = (int(z.max()) + 1, int(y.max()) + 1, int(x.max()) + 1)
    box = Box(start_zyx=(int(z.min()), int(y.min()), int(x.min())), stop_zyx=stop)
    return Found(box=box, voxels=len(z), centre_zyx=(float(z.mean()), float(y.mean()), float(x.mean())))


def test_lateral_distance_as_in_the_picture():
    line = Midline(points_mm=np.array([[40.0, 10.0, 0.0]]))
    x = np.arange(7)
    assert line.lateral_mm((np.zeros(7, int), np.zeros(7, int), x), GRID).tolist() == [
        -40,
        -30,
        -20,
        -10,
        0,
        10,
        20,
    ]


def test_the_line_is_followed_from_level_to_level_and_goes_straight_on_beyond_its_ends():
    line = Midline(points_mm=np.array([[0.0, 0.0, 5.0], [20.0, 0.0, 10.0]]), shift_mm=1.0)
    at_x_0 = (np.arange(4), np.zeros(4, int), np.zeros(4, int))
    assert line.lateral_mm(at_x_0, GRID).tolist() == [-1, -1, -21, -21]


def test_left_may_be_turned():
    line = Midline(points_mm=np.zeros((1, 3)), left_xy=(0.6, 0.8))
    one_each = (np.array([0, 0]), np.array([1, 0]), np.array([0, 1]))
    assert line.lateral_mm(one_each, GRID).tolist() == pytest.approx([8, 6])


def test_line_through_a_vessel_ignores_a_stray_voxel():
    labels = np.zeros((4, 5, 7), np.uint8)
    labels[:, 1:4, 2:5] = 1
    labels[2, 4, 6] = 1
    line = line_through(find_runs(labels), GRID)
    assert line.points_mm.tolist() == [[30, 20, z] for z in (0, 5, 10, 15)]
    assert line.exact


def test_line_between_two_equal_vessels():
    labels = np.zeros((4, 5, 7), np.uint8)
    labels[:, 2, 1] = labels[:, 2, 5] = 1
    assert line_through(find_runs(labels), GRID).points_mm[:, 0].tolist() == [30] * 4


def test_a_vessels_line_is_smoothed_over_20_mm():
    """A vessel that runs 1 mm to the left a slice of 5 mm, up to slice 20, and then stays at 30 mm: medians
    of five slices are its own places where it runs, and 30 from the bend on.
    """
    labels = np.zeros((41, 3, 60), np.uint8)
    for z in range(41):
        labels[z, 1, min(10 + z, 30)] = 1
    line = line_through(find_runs(labels), Geometry(size_zyx=labels.shape, spacing_zyx_mm=(5.0, 1.0, 1.0)))
    assert line.points_mm[[5, 12, 17, 20, 23, 35], 0].tolist() == [15, 22, 27, 30, 30, 30]


def one_organ(stop_x: int, from_x: int, size_x: int):
    labels = np.zeros((4, 4, size_x), np.uint8)
    labels[1:3, 1:3, from_x:stop_x] = 1
    return found(labels)


def test_organs_place_the_middle_by_how_little_they_vary():
    """Spleen at 300 mm: the middle at 195; stomach at 270: at 225. The stomach varies twice as much and
    counts a quarter: (4 · 195 + 225) / 5.
    """
    grid = Geometry(size_zyx=(4, 4, 40), spacing_zyx_mm=(10.0, 10.0, 10.0))
    line = middle_by_organs({"spleen": one_organ(32, 29, 40), "stomach": one_organ(29, 26, 40)}, grid)
    assert line is not None
    at_0 = (np.array([1]), np.array([1]), np.array([0]))
    assert line.lateral_mm(at_0, grid) == pytest.approx([-201])


def test_an_organ_that_the_image_cuts_does_not_place_the_middle_beside_a_whole_one():
    """The spleen at 120 mm, 105 mm to the left of the middle; of the liver two voxels are in view."""
    grid = Geometry(size_zyx=(4, 4, 20), spacing_zyx_mm=(10.0, 10.0, 10.0))
    line = middle_by_organs({"spleen": one_organ(14, 11, 20), "liver": one_organ(2, 0, 20)}, grid)
    assert line is not None
    assert line.lateral_mm((np.array([1]), np.array([1]), np.array([12])), grid) == pytest.approx([105])


def test_organs_place_the_middle():
    """The spleen's centre at x = 120 mm, 105 mm to the left of the middle: the middle is at 15 mm."""
    grid = Geometry(size_zyx=(4, 4, 20), spacing_zyx_mm=(10.0, 10.0, 10.0))
    labels = np.zeros(grid.size_zyx, np.uint8)
    labels[1:3, 1:3, 11:14] = 1
    line = middle_by_organs({"spleen": found(labels), "tumor": found(labels)}, grid)
    assert line is not None
    assert not line.exact
    assert line.lateral_mm((np.array([1]), np.array([1]), np.array([12])), grid) == pytest.approx([105])
    assert middle_by_organs({"tumor": found(labels)}, grid) is None


def test_middle_of_the_image_runs_along_its_slices():
    tilted = Geometry(
        size_zyx=(5, 5, 5),
        spacing_zyx_mm=(1.0,) * 3,
        direction=(0.8, 0.0, 0.6, 0.0, 1.0, 0.0, -0.6, 0.0, 0.8),
    )
    z = np.arange(5)
    assert middle_of_image(tilted).lateral_mm((z, np.full(5, 2), np.full(5, 2)), tilted) == pytest.approx(0)


def ct_of_a_body(centre_x: int) -> tuple[np.ndarray, Geometry]:
    """An elliptic body, an arm on one side, a couch below."""
    z, y, x = np.meshgrid(np.arange(6), np.arange(60), np.arange(100), indexing="ij")
    body = ((x - centre_x) / 30) ** 2 + ((y - 25) / 20) ** 2 < 1
    arm = ((x - centre_x - 40) / 5) ** 2 + ((y - 25) / 5) ** 2 < 1
    couch = y > 52
    return np.where(body | arm | couch, 40, -1000).astype(np.int16), Geometry(
        size_zyx=z.shape, spacing_zyx_mm=(5.0, 4.0, 4.0)
    )


def test_body_middle_without_arm_and_couch():
    image, geometry = ct_of_a_body(45)
    line = body_middle(image, geometry)
    assert line is not None
    assert not line.exact
    assert line.points_mm[:, 0] == pytest.approx(45 * 4, abs=2)


def test_body_middle_where_voxels_are_finer_in_the_plane_than_along_it():
    """The same at 1 mm in the plane, of which every fourth voxel is looked at, and every slice."""
    image, _ = ct_of_a_body(45)
    image = image.repeat(4, axis=1).repeat(4, axis=2)
    line = body_middle(image, Geometry(size_zyx=image.shape, spacing_zyx_mm=(5.0, 1.0, 1.0)))
    assert line is not None
    assert line.points_mm[:, 0] == pytest.approx(45 * 4, abs=4)


def test_no_middle_where_one_flank_is_in_view():
    image, geometry = ct_of_a_body(45)
    flank = np.ascontiguousarray(image[:, :, :50])
    assert (
        body_middle(flank[:, :50], Geometry(size_zyx=(6, 50, 50), spacing_zyx_mm=geometry.spacing_zyx_mm))
        is None
    )


def test_no_body():
    assert body_middle(np.full((4, 5, 7), -1000, np.int16), GRID) is None


def test_body_of_a_real_ct():
    image, _ = to_canonical(read_volume(real_data("ct_abdomen/ct_0000.nii.gz")))
    labels, _ = to_canonical(read_volume(real_data("ct_abdomen/labels.nii.gz")))
    line = body_middle(image.array, image.geometry)
    assert line is not None
    sides = [
        np.mean(line.lateral_mm(np.nonzero(labels.array == FLARE23.ids[f"{side} kidney"]), image.geometry))
        for side in ("right", "left")
    ]
    assert -95 < sides[0] < -55
    assert 55 < sides[1] < 95
