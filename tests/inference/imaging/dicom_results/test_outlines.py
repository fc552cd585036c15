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


def test_two_pieces_are_two_outlines_and_nothing_is_none():
    mask = np.zeros((4, 9), bool)
    assert outlines(mask) == []
    mask[1:3, 1:3] = mask[1:3, 5:8] = True
    assert len(outlines(mask)) == 2


def test_a_hole_is_cut_open_to_the_outline_around_it():
    mask = np.ones((7, 7), bool)
    mask[3, 3] = False
    (polygon,) = outlines(mask)
    # 28 corners around the square, the 4 of the hole, and one of either twice, where the cut begins and ends.
    assert len(polygon) == 28 + 4 + 2
    assert (filled([polygon], mask.shape) == mask).all()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_outlined_is_filled_again(seed):
    """Grains of noise at the edges, with holes in holes, of which each is a piece of its own."""
    noise = np.random.default_rng(seed).random((30, 24))
    blurred = noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)
    mask = blurred > np.median(blurred)
    assert (filled(outlines(mask), mask.shape) == mask).all()
