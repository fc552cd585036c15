"""Figures of label maps that a reader can count."""

import numpy as np
import pytest

from inference.geometry import Geometry
from inference.postprocessing.runs import find_runs
from inference.trust.organ_figures import coarse_means, count_pieces, measure_organs, value_figures
from model.labels import FLARE23

GEOMETRY = Geometry(size_zyx=(10, 10, 10), spacing_zyx_mm=(5.0, 2.0, 1.0), origin_xyz_mm=(100.0, 0.0, -50.0))
LIVER, SPLEEN = FLARE23.ids["liver"], FLARE23.ids["spleen"]


def test_an_organ_by_hand():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[2:4, 3:6, 1:9] = LIVER
    (liver,) = measure_organs(find_runs(labels, 14), GEOMETRY, FLARE23)
    assert (liver.name, liver.label) == ("liver", LIVER)
    assert liver.volume_ml == pytest.approx(2 * 3 * 8 * 10 / 1000)
    assert liver.extent_zyx_mm == (10.0, 6.0, 8.0)
    assert liver.centre_zyx_mm == (-50 + 2.5 * 5, 4 * 2.0, 100 + 4.5)
    assert not liver.touches_edge
    assert not liver.touches_end


@pytest.mark.parametrize(
    ("where", "edge", "end"),
    [
        ((slice(0, 2), 5, 5), True, True),
        ((slice(8, 10), 5, 5), True, True),
        ((5, slice(0, 2), 5), True, False),
        ((5, 5, slice(9, 10)), True, False),
        ((slice(1, 9), slice(1, 9), slice(1, 9)), False, False),
    ],
)
def test_what_the_scan_cuts_off(where, edge, end):
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[where] = LIVER
    (liver,) = measure_organs(find_runs(labels, 14), GEOMETRY, FLARE23)
    assert (liver.touches_edge, liver.touches_end) == (edge, end)


def blocks(*volumes_ml):
    """Blocks of a label, apart from each other, of voxels of 4 mm."""
    labels = np.zeros((20, 20, 60), np.uint8)
    for index, volume_ml in enumerate(volumes_ml):
        deep = round(volume_ml / (0.064 * 64))
        labels[:deep, :8, index * 10 : index * 10 + 8] = LIVER
    return labels


@pytest.mark.parametrize(
    ("volumes_ml", "pieces"),
    [((60,), 1), ((60, 30), 2), ((60, 60, 60), 3), ((60, 8), 1), ((80, 16), 1), ((8, 8), 1)],
)
def test_large_pieces_are_counted(volumes_ml, pieces):
    """Of at least 10 mL and a quarter of the largest."""
    geometry = Geometry(size_zyx=(20, 20, 60), spacing_zyx_mm=(4.0, 4.0, 4.0))
    assert count_pieces(blocks(*volumes_ml), geometry) == {LIVER: pieces}


def test_pieces_have_the_volume_of_all_their_voxels():
    """96 and 25.6 mL in voxels of 2 mm, of which one in eight is looked at."""
    labels = np.zeros((20, 20, 40), np.uint8)
    labels[:, :, :30] = labels[:, :, 32:] = LIVER
    geometry = Geometry(size_zyx=(20, 20, 40), spacing_zyx_mm=(2.0, 2.0, 2.0))
    assert count_pieces(labels, geometry) == {LIVER: 2}


def test_values_within_structures():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[2:4], labels[6:8] = LIVER, SPLEEN
    image = np.zeros((10, 10, 10), np.int16)
    image[2], image[3], image[6:8] = 50, 70, -1000
    found = value_figures(find_runs(labels, 14), image)
    assert (found[LIVER].mean, found[LIVER].sd) == (60, 10)
    assert (found[SPLEEN].mean, found[SPLEEN].sd) == (-1000, 0)
    assert coarse_means(labels, image, GEOMETRY) == {LIVER: 60, SPLEEN: -1000}


def test_values_that_are_not_finite_are_left_out():
    labels = np.full((1, 1, 4), LIVER, np.uint8)
    found = value_figures(find_runs(labels, 14), np.array([[[1, np.nan, 3, np.inf]]], np.float32))
    assert (found[LIVER].mean, found[LIVER].sd) == (2, 1)


def test_a_map_smaller_than_the_coarse_grid_has_a_point_of_it():
    labels = np.full((1, 4, 5), LIVER, np.uint8)
    assert count_pieces(labels, Geometry(size_zyx=(1, 4, 5), spacing_zyx_mm=(1.0, 0.8, 0.7))) == {LIVER: 1}
