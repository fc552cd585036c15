"""Outlines of masks that can be drawn by hand, and filled again by another library."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from inference.imaging.dicom_results.outlines import outlines


def filled(polygons, shape):
    """Voxels whose centres lie in one of the polygons, by matplotlib."""
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    inside = [Polygon(polygon).contains_points(centres).reshape(shape) for polygon in polygons]
    return np.logical_or.reduce(inside) if inside else np.zeros(shape, bool)


def test_one_voxel_is_a_diamond_around_its_centre():
    mask = np.zeros((5, 6), bool)
    mask[2, 3] = True
    (polygon,) = outlines(mask)
    assert sorted(map(tuple, polygon.tolist())) == [(2.5, 2.0), (3.0, 1.5), (3.0, 2.5), (3.5, 2.0)]


def test_corners_on_a_straight_line_are_left_out():
    """Of 3 × 40 voxels each corner is cut off at half a voxel, which makes eight."""
    mask = np.zeros((5, 42), bool)
    mask[1:4, 1:41] = True
    (polygon,) = outlines(mask)
    ends = [(x, y) for x in (1.0, 40.0) for y in (0.5, 3.5)] + [
        (x, y) for x in (0.5, 40.5) for y in (1.0, 3.0)
    ]
    assert sorted(map(tuple, polygon.tolist())) == sorted(ends)
    assert (filled([polygon], mask.shape) == mask).all()


def test_two_pieces_are_two_outlines_and_nothing_is_none():
    mask = np.zeros((4, 9), bool)
    assert outlines(mask) == []
    mask[1:3, 1:3] = mask[1:3, 5:8] = True
    assert len(outlines(mask)) == 2


def test_a_hole_is_cut_open_to_the_outline_around_it():
    mask = np.ones((7, 7), bool)
    mask[3, 3] = False
    (polygon,) = outlines(mask)
    # Of the square a corner at either end of each side, the 4 of the hole, and where the cut begins and ends
    # one on a side and one of the hole twice.
    assert len(polygon) == 8 + 4 + 2 + 1
    assert (filled([polygon], mask.shape) == mask).all()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_outlined_is_filled_again(seed):
    """Grains of noise at the edges, with holes in holes, of which each is a piece of its own."""
    noise = np.random.default_rng(seed).random((30, 24))
    blurred = noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)
    mask = blurred > np.median(blurred)
    assert (filled(outlines(mask), mask.shape) == mask).all()
