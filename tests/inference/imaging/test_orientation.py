"""Canonical orientation: exact for all 48, and voxels stay where they are in the world."""

import numpy as np
import pytest

from inference.geometry import IDENTITY, Box, Geometry, as_direction, box_of, same_grid
from inference.imaging.orientation import Orientation, orientation_of
from inference.imaging.volume import Volume, crop, to_canonical
from tests.inference.splits import rotation


def volume(direction, size_zyx=(2, 3, 4)):
    array = np.arange(24, dtype=np.int16).reshape(size_zyx)
    geometry = Geometry(
        size_zyx=size_zyx,
        spacing_zyx_mm=(5.0, 0.7, 0.8),
        origin_xyz_mm=(10.0, -20.0, 30.0),
        direction=direction,
    )
    return Volume(array=array, geometry=geometry)


def test_every_orientation_becomes_lps_and_back(direction48):
    stored = volume(direction48)
    canonical, orientation = to_canonical(stored)
    assert canonical.geometry.direction == IDENTITY
    assert np.array_equal(orientation.undo(canonical.array), stored.array)
    assert np.array_equal(orientation.undo(orientation.apply(stored.array)), stored.array)


def test_voxels_keep_their_place_in_the_world(direction48):
    stored = volume(direction48)
    canonical, _ = to_canonical(stored)
    for index in np.ndindex(canonical.array.shape):
        value = int(canonical.array[index])
        before = np.argwhere(stored.array == value)[0]
        assert np.allclose(canonical.geometry.to_world(index), stored.geometry.to_world(before))


def test_higher_indices_lie_superior_posterior_and_left(direction48):
    geometry = to_canonical(volume(direction48))[0].geometry
    first, step_z, step_y, step_x = geometry.to_world([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    assert (step_z - first)[2] > 0  # LPS: z grows towards superior
    assert (step_y - first)[1] > 0
    assert (step_x - first)[0] > 0


def test_a_las_image_has_its_rows_turned_around():
    stored = volume((1, 0, 0, 0, -1, 0, 0, 0, 1))
    canonical, orientation = to_canonical(stored)
    assert orientation == Orientation(axes=(0, 1, 2), flipped=(False, True, False))
    assert canonical.array[0].tolist() == [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]
    # Row 0 is now the last stored one, 2 voxels of 0.7 mm further anterior than the first.
    assert canonical.geometry.origin_xyz_mm == pytest.approx((10.0, -20.0 - 2 * 0.7, 30.0))


def test_canonical_and_undone_arrays_are_views(direction48):
    stored = volume(direction48)
    canonical, orientation = to_canonical(stored)
    assert np.shares_memory(canonical.array, stored.array)
    assert np.shares_memory(orientation.undo(canonical.array), stored.array)


def test_the_oblique_rest_stays_in_the_direction(oblique):
    canonical, orientation = to_canonical(volume(oblique))
    assert orientation.flipped == (True, False, False)
    assert np.all(np.diag(canonical.geometry.matrix) > 0.8)
    assert np.linalg.det(canonical.geometry.matrix) == pytest.approx(1)


def test_forty_five_degrees_is_a_tie_and_moves_no_axis():
    half = np.sqrt(0.5)
    turned = (half, -half, 0.0, half, half, 0.0, 0.0, 0.0, 1.0)
    geometry = Geometry(size_zyx=(2, 3, 4), spacing_zyx_mm=(1.0, 1.0, 1.0), direction=turned)
    assert orientation_of(geometry) == Orientation(axes=(0, 1, 2), flipped=(False, False, False))


@pytest.mark.parametrize("off", [-1e-12, 0.0, 1e-12])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rounding_does_not_break_the_tie(axis, off):
    direction = as_direction(rotation(axis, 45 + off))
    geometry = Geometry(size_zyx=(2, 2, 2), spacing_zyx_mm=(1.0, 1.0, 1.0), direction=direction)
    assert orientation_of(geometry).axes == (0, 1, 2)


def test_a_crop_lies_where_it_lay(direction48):
    stored = volume(direction48)
    box = Box(start_zyx=(1, 0, 2), stop_zyx=(2, 2, 4))
    part = crop(stored, box)
    assert part.array.tolist() == [[[14, 15], [18, 19]]]
    assert np.shares_memory(part.array, stored.array)
    assert np.allclose(part.geometry.to_world((0, 0, 0)), stored.geometry.to_world((1, 0, 2)))


def test_the_box_of_what_is_held():
    held = [np.array([0, 1, 0, 1], bool), np.array([1, 0], bool), np.array([0, 0, 1], bool)]
    assert box_of(held) == Box(start_zyx=(1, 0, 2), stop_zyx=(4, 1, 3))
    assert box_of([*held[:2], np.zeros(3, bool)]) is None


@pytest.mark.parametrize(
    ("start", "stop"), [((0, 0, 0), (1, 0, 1)), ((-1, 0, 0), (1, 1, 1)), ((2, 0, 0), (1, 1, 1))]
)
def test_an_empty_or_negative_box_is_refused(start, stop):
    with pytest.raises(ValueError, match="box: must not be empty"):
        Box(start_zyx=start, stop_zyx=stop)


def test_a_box_beyond_the_volume_is_refused():
    with pytest.raises(ValueError, match="box ends at"):
        crop(volume(IDENTITY), Box(start_zyx=(0, 0, 0), stop_zyx=(2, 3, 5)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size_zyx", (0, 1, 1)),
        ("spacing_zyx_mm", (1.0, 0.0, 1.0)),
        ("spacing_zyx_mm", (1.0, float("nan"), 1.0)),
        ("origin_xyz_mm", (0.0, float("inf"), 0.0)),
        ("direction", (1, 0, 0, 0, 1, 0, 0, 0.1, 1)),
        ("direction", (float("nan"), 0, 0, 0, 1, 0, 0, 0, 1)),
    ],
)
def test_an_impossible_grid_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        Geometry(**({"size_zyx": (1, 1, 1), "spacing_zyx_mm": (1.0, 1.0, 1.0)} | {field: value}))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_grids_of_one_corner_and_other_spacings_are_two(axis):
    spacing = tuple(2.0 if at == axis else 1.0 for at in range(3))
    grids = [Geometry(size_zyx=(9, 9, 9), spacing_zyx_mm=each) for each in ((1.0, 1.0, 1.0), spacing)]
    assert same_grid(grids[0], grids[0])
    assert not same_grid(*grids)
