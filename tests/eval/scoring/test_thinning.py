"""What thinning leaves of shapes whose lines, holes and cavities everybody sees."""

from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from eval.scoring.thinning import thinned

CUBE = np.ones((3, 3, 3), np.bool_)


def test_a_line_stays_as_it_is():
    line = np.zeros((3, 3, 9), np.bool_)
    line[1, 1, 1:8] = True
    assert np.array_equal(thinned(line), line)


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_tube_becomes_its_axis(radius, axis):
    tube = np.zeros((11, 11, 20), np.bool_)
    tube[5 - radius : 6 + radius, 5 - radius : 6 + radius] = True
    found = np.moveaxis(thinned(np.moveaxis(tube, 2, axis)), axis, 2)
    axis_alone = np.zeros_like(tube)
    axis_alone[5, 5, radius:-radius] = True
    assert np.array_equal(found[..., radius:-radius], axis_alone[..., radius:-radius])


def test_a_full_box_becomes_a_speck_and_a_box_with_a_cavity_keeps_it():
    box = np.zeros((7, 7, 7), np.bool_)
    box[1:6, 1:6, 1:6] = True
    assert np.count_nonzero(thinned(box)) <= 2  # of two voxels each is an end
    box[3, 3, 3] = False
    hollow = thinned(box)
    assert ndimage.label(~hollow)[1] == 2


def test_a_ring_stays_a_ring_of_one_voxel():
    z, y, x = np.ogrid[-6:7, -14:15, -14:15]
    ring = (np.hypot(y, x) - 9) ** 2 + z**2 <= 3.2**2
    found = thinned(ring)
    neighbours = ndimage.convolve(found.astype(int), CUBE.astype(int), mode="constant")[found] - 1
    assert not (found & ~ring).any()
    assert ndimage.label(found, CUBE)[1] == 1
    assert (neighbours == 2).all()  # each has one before and one behind it


def test_parts_and_cavities_stay_as_many_as_they_were():
    mask = ndimage.gaussian_filter(np.random.default_rng(0).random((30, 30, 30)), 1.5) > 0.5
    found = thinned(mask)
    assert np.count_nonzero(found) < np.count_nonzero(mask) / 5
    assert ndimage.label(found, CUBE)[1] == ndimage.label(mask, CUBE)[1]
    assert ndimage.label(~np.pad(found, 1))[1] == ndimage.label(~np.pad(mask, 1))[1]


def euler(mask: np.ndarray) -> int:
    """Corners less edges plus faces less cubes of all voxels: parts less tunnels plus cavities."""
    number = 0
    for shared in product((False, True), repeat=3):  # Axes along which a cell lies between two voxels.
        cells = np.pad(mask, 1)
        for axis in np.flatnonzero(shared):
            cells = cells | np.roll(cells, 1, axis)
        number += (-1) ** (3 - sum(shared)) * np.count_nonzero(cells)
    return number


def test_parts_tunnels_and_cavities_stay_in_noise():
    """Where nearly every voxel has neighbours that meet at edges and corners alone."""
    generator = np.random.default_rng(1)
    assert euler(np.ones((1, 2, 3), np.bool_)) == 1
    for _ in range(20):
        lumps = ndimage.binary_opening(generator.random((9, 9, 9)) < 0.7)
        mask = np.pad(lumps | (generator.random((9, 9, 9)) < 0.35), 1)
        found = thinned(mask)
        assert ndimage.label(~found)[1] == ndimage.label(~mask)[1]
        assert ndimage.label(found, CUBE)[1] == ndimage.label(mask, CUBE)[1]
        assert euler(found) == euler(mask)
