import math

import numpy as np
import pytest

from eval.scoring.surfels import neighbour_codes, surfel_areas_mm2
from tests.eval.made import surface_distance


def test_one_voxel_is_seen_once_from_each_of_its_eight_corners():
    codes = neighbour_codes(np.ones((1, 1, 1), bool))
    assert codes.shape == (3, 3, 3)
    assert codes[:2, :2, :2].tolist() == [[[1, 16], [4, 64]], [[2, 32], [8, 128]]]
    assert codes.sum() == 255


def test_a_full_block_is_inside_everywhere_but_on_its_surface():
    codes = neighbour_codes(np.ones((3, 4, 5), bool))
    assert (codes[1:3, 1:4, 1:5] == 255).all()
    assert np.count_nonzero((codes > 0) & (codes < 255)) == 4 * 5 * 6 - 2 * 3 * 4


def test_areas_by_hand():
    areas = surfel_areas_mm2((1.0, 1.0, 1.0))
    assert areas[[0, 255]].tolist() == [0.0, 0.0]
    assert areas[1] == pytest.approx(math.sqrt(3) / 8)  # a corner
    assert areas[15] == pytest.approx(1.0)  # a flat face, across x
    # The same face with voxels of 2 mm by 3 mm.
    assert surfel_areas_mm2((2.0, 3.0, 7.0))[15] == pytest.approx(6.0)


def test_a_neighbourhood_and_its_complement_hold_the_same_area():
    areas = surfel_areas_mm2((2.5, 0.8, 0.9))
    assert np.array_equal(areas, areas[::-1])


@pytest.mark.parametrize("spacing_zyx_mm", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9)])
def test_areas_are_those_of_surface_distance(spacing_zyx_mm):
    theirs = surface_distance().metrics.lookup_tables.create_table_neighbour_code_to_surface_area(
        spacing_zyx_mm[::-1]
    )
    assert surfel_areas_mm2(spacing_zyx_mm) == pytest.approx(theirs)
